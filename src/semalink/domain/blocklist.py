"""What may not stand in a text: named rules of literal phrases and words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self
from unicodedata import normalize

from semalink.domain.lookalikes import unified

#: Names and lengths that hold for rules of a file and for those that operators manage.
RULE_NAME_PATTERN = r"[a-z][a-z0-9_]*"
LITERAL_LENGTH_MAX = 100
REASON_LENGTH_MAX = 300

_RULE_NAME = re.compile(RULE_NAME_PATTERN)
_OF_RULE = frozenset({"phrases", "words", "mode", "reason"})
_NEVER = re.compile(r"(?!)")


class InvalidBlocklist(ValueError):
    """A blocklist that cannot be used; the sentence says where it is wrong."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"blocklist: {fault}")


class RuleMode(StrEnum):
    """What a rule does with a text that it finds fault with."""

    BLOCK = "block"
    #: Takes note of what it would have blocked, and lets it pass.
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class BlocklistRule:
    """A named list of what may not stand in a text."""

    name: str
    #: Found anywhere, also inside a longer word.
    phrases: tuple[str, ...]
    #: Found only where no letter or digit goes on before or after.
    words: tuple[str, ...]
    mode: RuleMode = RuleMode.BLOCK
    #: A sentence for whoever wrote the text; "" for none.
    reason: str = ""
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for literal in (*self.phrases, *self.words):
            if (fault := fault_of_literal(literal)) is not None:
                raise InvalidBlocklist(f"rules.{self.name} holds a text that {fault}.")
        literals = [_pattern(phrase) for phrase in self.phrases]
        literals += [rf"(?<!\w){_pattern(word)}(?!\w)" for word in self.words]
        object.__setattr__(self, "_pattern", re.compile("|".join(literals)))

    def blocks(self, folded: str) -> bool:
        """Whether the rule forbids a folded text."""
        return self._pattern.search(folded) is not None


@dataclass(frozen=True, slots=True)
class Blocklist:
    """Rules in order, behind one combined pattern that nearly every text passes at once.

    Rules are literal on purpose: no pattern of an operator can make a check slow.
    """

    rules: tuple[BlocklistRule, ...] = ()
    _suspicion: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        literals = {
            _blanks_merged(text) for rule in self.rules for text in rule.phrases + rule.words
        }
        suspicion = re.compile(_one_pass_over(literals)) if literals else _NEVER
        object.__setattr__(self, "_suspicion", suspicion)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Self:
        """Read a list as TOML holds it; raises InvalidBlocklist, which says where."""
        unknown = sorted(mapping.keys() - {"rules"})
        if unknown:
            raise InvalidBlocklist(f"{unknown[0]!r} is not a setting of a blocklist.")
        tables = mapping.get("rules", {})
        if not isinstance(tables, Mapping):
            raise InvalidBlocklist("rules must be tables, as [rules.pin_theft].")
        return cls(tuple(_read_rule(name, table) for name, table in tables.items()))

    def with_rules(self, rules: Sequence[BlocklistRule]) -> "Blocklist":
        """Return the list with more rules; one of a name that it has takes the place of that."""
        named = {rule.name: rule for rule in (*self.rules, *rules)}
        return Blocklist(tuple(named.values()))

    def matches(self, text: str) -> Sequence[BlocklistRule]:
        """Return the rules that find fault with a text, in their order, whatever their mode."""
        folded = _fold(text)
        if not self._suspicion.search(folded):
            return ()
        return [rule for rule in self.rules if rule.blocks(folded)]

    def broken_rules(self, text: str) -> list[str]:
        """Return the names of the rules that forbid a text, in their order."""
        return [rule.name for rule in self.matches(text) if rule.mode is RuleMode.BLOCK]


def fault_of_literal(literal: str) -> str | None:
    """Return why texts cannot be held to a phrase or a word, as a clause; None when they can.

    It counts as it is compared: some characters come to nothing, others to a whole sentence.
    """
    compared = _blanks_merged(literal)
    if not compared:
        return "has nothing that can be seen"
    if len(compared) > LITERAL_LENGTH_MAX:
        return f"comes to more than {LITERAL_LENGTH_MAX} characters where it is compared"
    return None


def _fold(text: str) -> str:
    """Bring letters that look alike together: case, styled forms, and those of other scripts."""
    return (text if text.isascii() else unified(normalize("NFKC", text))).casefold()


def _blanks_merged(literal: str) -> str:
    return " ".join(_fold(literal).split())


def _pattern(literal: str) -> str:
    """Return a pattern of the folded literal in which any white space stands for a blank."""
    return r"\s+".join(map(re.escape, _blanks_merged(literal).split(" ")))


def _one_pass_over(literals: set[str]) -> str:
    """Return a pattern that shares beginnings: its cost hardly grows with the list."""
    if "" in literals:
        return ""
    rests: dict[str, set[str]] = {}
    for literal in literals:
        first, rest = literal[0], literal[1:]
        rests.setdefault(first, set()).add(rest)
    branches = [
        (r"\s+" if first == " " else re.escape(first)) + _one_pass_over(rest)
        for first, rest in sorted(rests.items())
    ]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def _read_rule(name: object, table: object) -> BlocklistRule:
    where = f"rules.{name}"
    if not isinstance(name, str) or not _RULE_NAME.fullmatch(name):
        raise InvalidBlocklist(f"{where} must be named in lower snake case.")
    if not isinstance(table, Mapping) or not table or table.keys() - _OF_RULE:
        raise InvalidBlocklist(
            f"{where} must hold phrases, words or both, and may hold mode and reason."
        )
    phrases = _read_literals(f"{where}.phrases", table.get("phrases", []))
    words = _read_literals(f"{where}.words", table.get("words", []))
    if not phrases and not words:
        raise InvalidBlocklist(f"{where} lists nothing.")
    mode, reason = table.get("mode", "block"), table.get("reason", "")
    if mode not in tuple(RuleMode):
        raise InvalidBlocklist(f'{where}.mode must be "block" or "shadow".')
    if not isinstance(reason, str) or len(reason) > REASON_LENGTH_MAX:
        raise InvalidBlocklist(f"{where}.reason must be a sentence, not too long.")
    return BlocklistRule(name, phrases, words, RuleMode(mode), reason)


def _read_literals(where: str, literals: object) -> tuple[str, ...]:
    if not isinstance(literals, Sequence) or isinstance(literals, str):
        raise InvalidBlocklist(f"{where} must be a list of texts.")
    for literal in literals:
        if not isinstance(literal, str):
            raise InvalidBlocklist(f"{where} holds something that is not a text.")
        if (fault := fault_of_literal(literal)) is not None:
            raise InvalidBlocklist(f"{where} holds a text that {fault}.")
    return tuple(literals)
