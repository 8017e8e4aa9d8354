"""The server that is checked: what it answers, and that it does not, are both findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hrembed.errors import ConfigError, ModelError
from hrembed.models.endpoint import Endpoint, RefusalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.config.serve_check import ServeCheckConfig
    from hrembed.progress import Progress
    from hrembed.records.usage import EndpointUsage
    from hrembed.types import Floats

UNNAMED = "default"
_MOST = 128  # texts in a request


class Answered(NamedTuple):
    """What came of one request.

    Attributes:
        vectors: Shape (texts, dim), as they were sent; None where there are none.
        failure: Why not, in words.
        refused: Whether the server said that it does not take such a request, in place of failing at it.
    """

    vectors: Floats | None
    failure: str = ""
    refused: bool = False


class Server:
    """An OpenAI-compatible server.

    Args:
        config: Its address and settings.
        progress: Receives notes about repeated requests.

    Raises:
        ConfigError: The server lists several models, and none was named.
        ModelError: Address or key are not usable.
    """

    def __init__(self, config: ServeCheckConfig, progress: Progress) -> None:
        self._settings = config.endpoint.model_dump(exclude={"canary"})
        self._batch_size = config.model.batch_size if config.model else _MOST
        self._progress = progress
        self._sends_prompts = config.prompts == "client"
        self.name = config.name or self._only_model()
        self._endpoint = self._endpoint_for(self.name)
        self.url = self._endpoint.source

    def _endpoint_for(self, name: str) -> Endpoint:
        return Endpoint(name, batch_size=self._batch_size, progress=self._progress, **self._settings)

    def _only_model(self) -> str:
        listed = self._endpoint_for(UNNAMED).listed_models()
        if len(listed) > 1:
            shown = ", ".join(listed[:10]) + (", ..." if len(listed) > 10 else "")
            raise ConfigError(
                f"the server lists {len(listed)} models: {shown}", hint="choose one with `--name` (`name` in a config)"
            )
        return listed[0] if listed else UNNAMED

    @property
    def usage(self) -> EndpointUsage:
        """Requests so far."""
        return self._endpoint.usage

    def _sent(self, texts: Sequence[str], prompt: str) -> list[str]:
        """What stands in a request for texts with a prompt: the server adds it itself where the config says so."""
        return [(prompt if self._sends_prompts else "") + text for text in texts]

    def vectors(self, texts: Sequence[str], prompt: str) -> Floats:
        """Send texts in one request, shape (n, dim).

        Raises:
            ModelError: There is no usable answer.
        """
        return self._endpoint.embed(self._sent(texts, prompt), "document", "")

    def plain(self, texts: Sequence[str]) -> Floats:
        """Embed texts without a prompt, as the canary of an endpoint does.

        Raises:
            ModelError: There is no usable answer.
        """
        return self._endpoint.embed_plain(texts)

    def ask(self, texts: Sequence[str], prompt: str) -> Answered:
        """Send texts in one request, whatever comes of it."""
        try:
            return Answered(self.vectors(texts, prompt))
        except RefusalError as err:
            return Answered(None, str(err), refused=400 <= err.status < 500)
        except ModelError as err:
            return Answered(None, str(err))
