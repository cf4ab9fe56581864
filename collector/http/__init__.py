"""HTTP as seen by a bystander: byte streams in, `events` out.

`http1` reads one direction of an HTTP/1.1 connection, `codings` undoes content codings,
`sse` splits an event stream. All are sans-I/O: they hold no clock, thread or file and never
raise on hostile bytes.
"""
