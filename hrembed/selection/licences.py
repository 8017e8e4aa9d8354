"""What a licence allows, in four classes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from hrembed.records.select import LicenceClass

_PERMISSIVE = {
    "afl-3.0", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc-by-3.0", "cc-by-4.0", "cc0-1.0", "isc",
    "mit", "openmdw-1.0", "openmdw-1.1", "unlicense", "zlib",
}  # fmt: skip
_COPYLEFT = ("gpl", "agpl", "lgpl", "cc-by-sa", "mpl", "eupl", "epl")
_OTHER_NAMES = {
    "apache": "apache-2.0",
    "apache-2": "apache-2.0",
    "apache-license-2.0": "apache-2.0",
    "apache-license-version-2.0": "apache-2.0",
    "mit-license": "mit",
    "bsd": "bsd-3-clause",
    "new-bsd": "bsd-3-clause",
    "cc0": "cc0-1.0",
    "gplv3": "gpl-3.0",
    "agplv3": "agpl-3.0",
}
# Terms under an address of their own, and what they call themselves. None of them is a licence that everybody knows.
_TERMS = {
    "ai.google.dev/gemma/terms": "gemma",
    "developers.google.com/health-ai-developer-foundations/terms": "health-ai-developer-foundations",
    "ai.meta.com/resources/models-and-libraries/dinov3-license": "dinov3",
    "www.nvidia.com/en-us/agreements/enterprise-software/nvidia-open-model-license": "nvidia-open-model",
    "huggingface.co/spaces/bigscience/license": "bigscience-rail",
    "aws.amazon.com/service-terms": "aws-service-terms",
}
_SAYS_NOTHING = {"", "none", "not-specified", "multiple", "other", "unknown"}


def normalised(licence: str | None) -> str | None:
    """Name a licence in one way: `Apache License 2.0` is `apache-2.0`, an address becomes `custom (host)`.

    Returns:
        None where nothing is stated.
    """
    text = "" if licence is None else licence.strip()
    if text.startswith(("http://", "https://")):
        address = urlsplit(text)
        return _TERMS.get(f"{address.netloc}{address.path}".rstrip("/").lower(), f"custom ({address.netloc})")
    name = re.sub(r"[\s_,]+", "-", text.lower())
    name = _OTHER_NAMES.get(name, name)
    return None if name in _SAYS_NOTHING else name


def licence_class(licence: str | None) -> LicenceClass:
    """Sort a licence into four classes; terms of a company's own are `unknown` until a person has read them."""
    name = normalised(licence)
    if name is None:
        return "unknown"
    if name in _PERMISSIVE:
        return "permissive"
    if "-nc" in name or "non-commercial" in name:
        return "non-commercial"
    return "copyleft" if name.startswith(_COPYLEFT) else "unknown"
