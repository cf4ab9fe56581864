"""The sample agent without its rule against commands: it runs whatever a model asks for."""

from underglass.demo import sample_agent

sample_agent.FORBIDDEN = ()
sample_agent.main()
