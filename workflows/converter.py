"""How values travel to and from Temporal: as plain JSON, written and read by msgspec.

On the wire it is what the SDK's own converter writes (`json/plain`), so histories and other
clients read both; it takes a third of the processor time for our dataclasses.
"""

from threading import Lock
from typing import Any, Final

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    BinaryNullPayloadConverter,
    BinaryPlainPayloadConverter,
    BinaryProtoPayloadConverter,
    CompositePayloadConverter,
    DataConverter,
    EncodingPayloadConverter,
    JSONProtoPayloadConverter,
)

ENCODING = "json/plain"
_METADATA = {"encoding": ENCODING.encode()}

_DECODERS: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}
_MAKING: Final = Lock()


def _decoder(type_hint: Any) -> msgspec.json.Decoder[Any]:
    """The decoder of a type, made by one thread at a time.

    The SDK activates workflows in threads, and two that make what msgspec keeps of one dataclass at
    once end the process with a segmentation fault. What is made may be used by all of them.
    """
    decoder = _DECODERS.get(type_hint)
    if decoder is None:
        with _MAKING:
            decoder = _DECODERS.get(type_hint)
            if decoder is None:
                decoder = _DECODERS[type_hint] = msgspec.json.Decoder(type_hint)
    return decoder


class MsgspecPayloadConverter(EncodingPayloadConverter):
    """Any value that msgspec can write; read back as the type that the signature names."""

    @property
    def encoding(self) -> str:
        """The encoding that a payload of ours, or of the SDK's JSON converter, names."""
        return ENCODING

    def to_payload(self, value: Any) -> Payload | None:
        """The value as JSON. Raises `TypeError` for what msgspec cannot write."""
        return Payload(metadata=_METADATA, data=msgspec.json.encode(value))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """The value again. Raises `msgspec.ValidationError` if it is not of the type."""
        return _decoder(Any if type_hint is None else type_hint).decode(payload.data)


class OrderPayloadConverter(CompositePayloadConverter):
    """The SDK's converters for what is not JSON, ours for the rest."""

    def __init__(self) -> None:
        super().__init__(
            BinaryNullPayloadConverter(),
            BinaryPlainPayloadConverter(),
            JSONProtoPayloadConverter(),
            BinaryProtoPayloadConverter(),
            MsgspecPayloadConverter(),
        )


DATA_CONVERTER = DataConverter(payload_converter_class=OrderPayloadConverter)
"""The one converter of clients, workers and replays."""
