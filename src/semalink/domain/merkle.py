"""A Merkle tree as in RFC 6962: one hash for many leaves, and short proofs that one is among them.

Leaves and nodes are hashed behind different prefixes, so that neither passes for the other.
"""

from collections.abc import Sequence
from hashlib import sha256
from itertools import zip_longest

_LEAF = b"\x00"
_NODE = b"\x01"


class Tree:
    """The hashes of a tree over some leaves, kept so that many proofs cost one pass."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.count = len(leaves)
        self._levels = [[_leaf_hash(leaf) for leaf in leaves]]
        while len(self._levels[-1]) > 1:
            self._levels.append(_level_above(self._levels[-1]))

    def root(self) -> bytes:
        """Return the hash that stands for all leaves; that of nothing is SHA-256 of nothing."""
        return self._levels[-1][0] if self.count else sha256().digest()

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Return the siblings on the way from a leaf up to the root, the lowest first."""
        if not 0 <= index < self.count:
            raise IndexError(f"there is no leaf {index} among {self.count}")
        proof = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                proof.append(level[sibling])
            index >>= 1
        return proof


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the hash that stands for all leaves in their order."""
    return Tree(leaves).root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the siblings on the way from a leaf up to the root; for many leaves keep a `Tree`."""
    return Tree(leaves).inclusion_proof(index)


def root_from_proof(leaf: bytes, index: int, count: int, proof: Sequence[bytes]) -> bytes:
    """Return the root of the tree of so many leaves that has this leaf there, by its proof.

    A proof that is too short or too long for its place is a ValueError.
    """
    if not 0 <= index < count:
        raise ValueError(f"there is no leaf {index} among {count}")
    siblings = iter(proof)
    hashed, last = _leaf_hash(leaf), count - 1
    try:
        while last:
            if index & 1:
                hashed = _node_hash(next(siblings), hashed)
            elif index < last:
                hashed = _node_hash(hashed, next(siblings))
            index, last = index >> 1, last >> 1
    except StopIteration:
        raise ValueError("the proof is too short") from None
    if next(siblings, None) is not None:
        raise ValueError("the proof is too long")
    return hashed


def _level_above(level: Sequence[bytes]) -> list[bytes]:
    # A last one without a partner rises as it is: this is the split of RFC 6962, bottom up.
    pairs = zip_longest(level[::2], level[1::2])
    return [left if right is None else _node_hash(left, right) for left, right in pairs]


def _leaf_hash(leaf: bytes) -> bytes:
    return sha256(_LEAF + leaf).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()
