from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MixConfig(_message.Message):
    __slots__ = ("Id", "Host", "Port", "PubKey", "Layer")
    ID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    PUBKEY_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    Id: str
    Host: str
    Port: str
    PubKey: bytes
    Layer: int
    def __init__(self, Id: _Optional[str] = ..., Host: _Optional[str] = ..., Port: _Optional[str] = ..., PubKey: _Optional[bytes] = ..., Layer: _Optional[int] = ...) -> None: ...

class ClientConfig(_message.Message):
    __slots__ = ("Id", "Host", "Port", "PubKey", "Provider")
    ID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    PUBKEY_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    Id: str
    Host: str
    Port: str
    PubKey: bytes
    Provider: MixConfig
    def __init__(self, Id: _Optional[str] = ..., Host: _Optional[str] = ..., Port: _Optional[str] = ..., PubKey: _Optional[bytes] = ..., Provider: _Optional[_Union[MixConfig, _Mapping]] = ...) -> None: ...

class GeneralPacket(_message.Message):
    __slots__ = ("Flag", "Data")
    FLAG_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    Flag: bytes
    Data: bytes
    def __init__(self, Flag: _Optional[bytes] = ..., Data: _Optional[bytes] = ...) -> None: ...

class ProviderResponse(_message.Message):
    __slots__ = ("NumberOfPackets", "Packets")
    NUMBEROFPACKETS_FIELD_NUMBER: _ClassVar[int]
    PACKETS_FIELD_NUMBER: _ClassVar[int]
    NumberOfPackets: int
    Packets: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, NumberOfPackets: _Optional[int] = ..., Packets: _Optional[_Iterable[bytes]] = ...) -> None: ...

class PullRequest(_message.Message):
    __slots__ = ("Token", "ClientPublicKey")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CLIENTPUBLICKEY_FIELD_NUMBER: _ClassVar[int]
    Token: bytes
    ClientPublicKey: bytes
    def __init__(self, Token: _Optional[bytes] = ..., ClientPublicKey: _Optional[bytes] = ...) -> None: ...

class SphinxPacket(_message.Message):
    __slots__ = ("Hdr", "Pld")
    HDR_FIELD_NUMBER: _ClassVar[int]
    PLD_FIELD_NUMBER: _ClassVar[int]
    Hdr: Header
    Pld: bytes
    def __init__(self, Hdr: _Optional[_Union[Header, _Mapping]] = ..., Pld: _Optional[bytes] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("Alpha", "Beta", "Mac")
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    Alpha: bytes
    Beta: bytes
    Mac: bytes
    def __init__(self, Alpha: _Optional[bytes] = ..., Beta: _Optional[bytes] = ..., Mac: _Optional[bytes] = ...) -> None: ...

class Hop(_message.Message):
    __slots__ = ("Id", "Address", "PubKey")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PUBKEY_FIELD_NUMBER: _ClassVar[int]
    Id: str
    Address: str
    PubKey: bytes
    def __init__(self, Id: _Optional[str] = ..., Address: _Optional[str] = ..., PubKey: _Optional[bytes] = ...) -> None: ...

class RoutingInfo(_message.Message):
    __slots__ = ("NextHop", "RoutingCommands", "NextHopMetaData", "Mac")
    NEXTHOP_FIELD_NUMBER: _ClassVar[int]
    ROUTINGCOMMANDS_FIELD_NUMBER: _ClassVar[int]
    NEXTHOPMETADATA_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    NextHop: Hop
    RoutingCommands: Commands
    NextHopMetaData: bytes
    Mac: bytes
    def __init__(self, NextHop: _Optional[_Union[Hop, _Mapping]] = ..., RoutingCommands: _Optional[_Union[Commands, _Mapping]] = ..., NextHopMetaData: _Optional[bytes] = ..., Mac: _Optional[bytes] = ...) -> None: ...

class Commands(_message.Message):
    __slots__ = ("Delay", "Flag")
    DELAY_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    Delay: float
    Flag: bytes
    def __init__(self, Delay: _Optional[float] = ..., Flag: _Optional[bytes] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("send", "fetch", "clients", "details", "flush")
    SEND_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    send: RequestSendMessage
    fetch: RequestFetchMessages
    clients: RequestGetClients
    details: RequestOwnDetails
    flush: RequestFlush
    def __init__(self, send: _Optional[_Union[RequestSendMessage, _Mapping]] = ..., fetch: _Optional[_Union[RequestFetchMessages, _Mapping]] = ..., clients: _Optional[_Union[RequestGetClients, _Mapping]] = ..., details: _Optional[_Union[RequestOwnDetails, _Mapping]] = ..., flush: _Optional[_Union[RequestFlush, _Mapping]] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ("exception", "send", "fetch", "clients", "details", "flush")
    EXCEPTION_FIELD_NUMBER: _ClassVar[int]
    SEND_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    exception: ResponseException
    send: ResponseSendMessage
    fetch: ResponseFetchMessages
    clients: ResponseGetClients
    details: ResponseOwnDetails
    flush: ResponseFlush
    def __init__(self, exception: _Optional[_Union[ResponseException, _Mapping]] = ..., send: _Optional[_Union[ResponseSendMessage, _Mapping]] = ..., fetch: _Optional[_Union[ResponseFetchMessages, _Mapping]] = ..., clients: _Optional[_Union[ResponseGetClients, _Mapping]] = ..., details: _Optional[_Union[ResponseOwnDetails, _Mapping]] = ..., flush: _Optional[_Union[ResponseFlush, _Mapping]] = ...) -> None: ...

class RequestSendMessage(_message.Message):
    __slots__ = ("message", "recipient")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    message: bytes
    recipient: ClientConfig
    def __init__(self, message: _Optional[bytes] = ..., recipient: _Optional[_Union[ClientConfig, _Mapping]] = ...) -> None: ...

class RequestFetchMessages(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RequestGetClients(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RequestOwnDetails(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RequestFlush(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResponseException(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: str
    def __init__(self, error: _Optional[str] = ...) -> None: ...

class ResponseSendMessage(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResponseFetchMessages(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, messages: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ResponseGetClients(_message.Message):
    __slots__ = ("clients",)
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    clients: _containers.RepeatedCompositeFieldContainer[ClientConfig]
    def __init__(self, clients: _Optional[_Iterable[_Union[ClientConfig, _Mapping]]] = ...) -> None: ...

class ResponseOwnDetails(_message.Message):
    __slots__ = ("details",)
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    details: ClientConfig
    def __init__(self, details: _Optional[_Union[ClientConfig, _Mapping]] = ...) -> None: ...

class ResponseFlush(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
