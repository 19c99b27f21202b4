"""XML from files that others wrote: no DTD, no entities, and every refusal is one sentence."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from imagery.errors import AnnotationError
from imagery.geometry import FloatArray


def parse_xml(xml: bytes, what: str) -> Element:
    """The root of a document.

    Args:
        xml: its bytes.
        what: what it is, for messages, such as ``the annotation``.

    Returns:
        The root element.

    Raises:
        AnnotationError: if it is not well-formed, or declares a DTD or entities.
    """
    try:
        root: Element = fromstring(xml, forbid_dtd=True)
    except DefusedXmlException as error:
        raise AnnotationError(f"{what} declares a DTD or entities and was refused: {error}") from error
    except (ParseError, ValueError, LookupError) as error:  # the latter two: an impossible encoding
        raise AnnotationError(f"{what} is not well-formed XML: {error}") from error
    return root


def number_list(element: Element, path: str, what: str) -> FloatArray:
    """Numbers separated by blanks at a path below an element, all finite.

    Raises:
        AnnotationError: if they are missing, are not numbers, or are not finite.
    """
    try:
        values = np.array((element.findtext(path) or "").split(), dtype=float)
    except ValueError as error:
        raise AnnotationError(f"{what} has a {path} that is not a list of numbers: {error}") from error
    if values.size == 0 or not np.all(np.isfinite(values)):
        raise AnnotationError(f"{what} has an empty or infinite {path}")
    return values


def number(element: Element, path: str, what: str) -> float:
    """One number at a path below an element.

    Raises:
        AnnotationError: see `number_list`; also where there are several.
    """
    values = number_list(element, path, what)
    if values.size != 1:
        raise AnnotationError(f"{what} has {values.size} numbers in {path}, expected one")
    return float(values[0])
