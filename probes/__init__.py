"""Probes: everything that touches the kernel.

In: targets to watch. Out: frames (`probes.frames`) on a socket, each one `ProbeEvent`
(`probes.events`). The process that loads BCC and holds privileges is `probes.process`;
nothing in this package decodes what it copies.
"""
