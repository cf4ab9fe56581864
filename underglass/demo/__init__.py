"""What the demo and the tests share: a scripted model server over TLS and a small agent."""
