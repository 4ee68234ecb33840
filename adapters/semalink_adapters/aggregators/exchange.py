"""One HTTP call to a provider, and what is certain about it when it goes wrong."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from semalink.application.ports import FailureClass, OutcomeUnknown, SendFailed

#: A provider's answer is a few hundred bytes a message; a longer one is read no further.
ANSWER_BYTES_MAX = 256 * 1024
USER_AGENT = "semalink"

_CONNECT_TRIES = 2
#: A gateway answers these after it passed the request on and gave up waiting.
_GAVE_UP_WAITING = frozenset({504, 524})
#: The request was not looked at: it belongs elsewhere. Other redirects may follow its acceptance.
_MOVED = frozenset({301, 307, 308})
_WRONG_CREDENTIALS = frozenset({401, 403})
_WRONG_ADDRESS = frozenset({404, 405, 410})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a call may take, by stage."""

    connect_seconds: float = 3.0
    read_seconds: float = 10.0
    total_seconds: float = 15.0

    def as_client_timeout(self) -> aiohttp.ClientTimeout:
        """Return the same as the client takes it."""
        return aiohttp.ClientTimeout(
            total=self.total_seconds, connect=self.connect_seconds, sock_read=self.read_seconds
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """Whatever a provider answered."""

    status: int
    body: bytes


class CallFailed(Exception, ABC):
    """A call brought no readable answer."""

    @abstractmethod
    def outcome(self) -> SendFailed | OutcomeUnknown:
        """Return what this means for one message of the call; a new exception each time."""


class NotSent(CallFailed):
    """No connection came about: certainly nothing left this machine."""

    def outcome(self) -> SendFailed:
        """Return a passing refusal: the message can be sent again, here or elsewhere."""
        return SendFailed(
            FailureClass.TRANSIENT,
            provider_code="unreachable",
            detail="The provider could not be reached; nothing was sent.",
            retryable=True,
            may_fail_over=True,
        )


class NoAnswer(CallFailed):
    """The request left, and no readable answer came."""

    def outcome(self) -> OutcomeUnknown:
        """Return that nobody can say."""
        return OutcomeUnknown(str(self))


class HttpRefused(CallFailed):
    """The HTTP status refuses the request, and the body says nothing that we can read."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"The provider answered HTTP {status}.")

    def outcome(self) -> SendFailed:
        """Return the refusal that the status stands for."""
        failure = _failure_of_status(self.status)
        return SendFailed(
            failure,
            provider_code=f"HTTP {self.status}",
            detail=str(self),
            retryable=failure is FailureClass.TRANSIENT,
            may_fail_over=failure is not FailureClass.BUG,
        )


def unreadable(answer: Answer) -> CallFailed:
    """Return what an answer means whose body cannot be read."""
    if answer.status in _GAVE_UP_WAITING:
        return NoAnswer(f"A gateway gave up waiting for the provider: HTTP {answer.status}.")
    if answer.status >= 400 or answer.status in _MOVED:
        return HttpRefused(answer.status)
    return NoAnswer(f"The provider's answer could not be read: HTTP {answer.status}.")


def new_session(limit_per_host: int, timeouts: Timeouts | None = None) -> aiohttp.ClientSession:
    """Open the one session of a provider; the caller closes it."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=limit_per_host),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT},
        timeout=(timeouts or Timeouts()).as_client_timeout(),
        trust_env=False,
    )


def check_base_url(base_url: str) -> None:
    """Raise ValueError unless calls can be made under this address and it hides no secret."""
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("The base URL of an aggregator is absolute: https://host.")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("The base URL of an aggregator has neither credentials nor a query.")


class Exchange:
    """Makes the calls to one provider."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        headers: dict[str, str],
        timeouts: Timeouts,
        connect_retry_seconds: float,
    ) -> None:
        self._session = session
        self._headers = headers
        self._timeout = timeouts.as_client_timeout()
        # Only the stage before anything left is tried again: no later one is certain.
        self._connecting = AsyncRetrying(
            stop=stop_after_attempt(_CONNECT_TRIES),
            wait=wait_fixed(connect_retry_seconds),
            retry=retry_if_exception_type(NotSent),
            reraise=True,
        )

    async def post(self, url: str, body: bytes, content_type: str) -> Answer:
        """Send a body and return the answer; raises NotSent or NoAnswer."""
        return await self._connecting.copy()(self._call, "POST", url, body, content_type)

    async def get(self, url: str) -> Answer:
        """Return the answer to a question that changes nothing; raises NotSent or NoAnswer."""
        return await self._connecting.copy()(self._call, "GET", url, None, None)

    async def _call(
        self, method: str, url: str, body: bytes | None, content_type: str | None
    ) -> Answer:
        if self._session.closed:
            raise NotSent("The session is closed.")
        headers = self._headers
        if content_type is not None:
            headers = headers | {"Content-Type": content_type}
        try:
            async with self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                # A redirect may turn a POST into a GET and carry the key to another host.
                allow_redirects=False,
            ) as response:
                return Answer(response.status, await _read(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(_without_details(error, "before anything was sent")) from None
        except (aiohttp.ClientError, OSError) as error:
            # TimeoutError is an OSError. The causes may carry addresses, so only their kind stays.
            raise NoAnswer(_without_details(error, "after the request left")) from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            response.close()
            raise NoAnswer("The provider's answer is longer than any should be.")
    return bytes(body)


def _without_details(error: Exception, when: str) -> str:
    return f"{type(error).__name__} {when}."


def _failure_of_status(status: int) -> FailureClass:
    if status in {408, 425, 429} or status >= 500:
        return FailureClass.TRANSIENT
    if status in _MOVED | _WRONG_CREDENTIALS | _WRONG_ADDRESS:
        return FailureClass.CONFIGURATION
    return FailureClass.BUG
