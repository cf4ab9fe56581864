"""Rows of JSON-RPC channels and messages, kept until a batch takes them.

In: `RpcMessage`s and channel rows, from `collector.channels` and `collector.rpc_http`. Out:
`RpcChannelRow`, `RpcMessageRow` and `ContentRow`, secrets masked.
"""

from __future__ import annotations

from dataclasses import replace

from collector.capture_info import CaptureInfo
from collector.conversations import digest
from collector.redaction import TextRedactor
from collector.rows import Batch, ContentRow, RpcChannelRow, RpcMessageRow
from collector.rpc_about import About
from collector.rpc_messages import RpcMessage


class RpcRows:
    """New and changed rows. `content`: whether bodies and error texts are to be kept."""

    def __init__(self, info: CaptureInfo, redact: TextRedactor, *, content: bool) -> None:
        self._info = info
        self._redact = redact
        self._content = content
        self._channels: dict[str, RpcChannelRow] = {}
        self._messages: dict[str, RpcMessageRow] = {}
        self._contents: dict[str, ContentRow] = {}

    def take(self, batch: Batch) -> None:
        """Add the rows that are new or changed."""
        batch.rpc_channels += self._channels.values()
        batch.rpc_messages += self._messages.values()
        batch.contents += self._contents.values()
        self._channels, self._messages, self._contents = {}, {}, {}

    def channel(self, row: RpcChannelRow) -> None:
        """A channel is new or changed."""
        self._channels[row.channel_id] = row

    def put(self, row: RpcMessageRow) -> None:
        """A message is new or changed."""
        self._messages[row.message_id] = row

    def message(
        self,
        channel_id: str,
        place: str,
        message: RpcMessage,
        *,
        http_status: int | None = None,
    ) -> RpcMessageRow:
        """The row of a message. `place`: what tells it from all others of the capture."""
        redact, text, about, content_hash = self._redact, message.text, message.about, None
        if text:
            body = redact(text.decode("utf-8", "replace"))
            content_hash = digest(b"rpc", body.encode())
            self._contents[content_hash] = ContentRow(
                content_hash, "rpc", None, len(text), body if self._content else None
            )
        error = about.error_message if self._content else None
        row = RpcMessageRow(
            message_id="r" + digest(place.encode())[:16],
            capture_id=self._info.capture_id,
            channel_id=channel_id,
            started_ns=self._info.wall_ns(message.first_ns),
            ended_ns=self._info.wall_ns(message.last_ns),
            kind=message.kind,
            rpc_id=message.rpc_id and redact(message.rpc_id),
            method=message.method and redact(message.method),
            tool=message.tool and redact(message.tool),
            is_error=message.is_error,
            answers=None,
            size_bytes=message.size_bytes,
            truncated=message.truncated,
            batch_index=message.batch_index,
            content_hash=content_hash,
            position=message.position,
            error_code=about.error_code,
            error_message=error and redact(error),
            task_id=about.task_id and redact(about.task_id),
            task_state=about.task_state and redact(about.task_state),
            context_id=about.context_id and redact(about.context_id),
            result_type=about.result_type and redact(about.result_type),
            http_status=http_status,
        )
        self.put(row)
        return row

    def told(self, row: RpcChannelRow, about: About) -> RpcChannelRow:
        """The channel with what a message says of those that speak on it. Of the version, what a
        server answered stands; later names take the place of earlier ones."""
        redact = self._redact
        version = about.protocol_version if about.settled or not row.protocol_version else None
        changes = {
            "protocol": about.protocol,
            "protocol_version": version and redact(version),
            "server_name": about.server_name and redact(about.server_name),
            "server_version": about.server_version and redact(about.server_version),
            "server_skills": about.server_skills,
            "client_name": about.client_name and redact(about.client_name),
            "client_version": about.client_version and redact(about.client_version),
        }
        known = {
            name: value
            for name, value in changes.items()
            if value is not None and getattr(row, name) != value
        }
        return replace(row, **known) if known else row  # type: ignore[arg-type]
