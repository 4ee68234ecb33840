"""The Merkle tree under any leaves: it is RFC 6962's, and its proofs prove just what they say."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from semalink.domain.merkle import inclusion_proof, root, root_from_proof

_LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


def _root_by_the_rfc(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = _root_by_the_rfc(leaves[:split]), _root_by_the_rfc(leaves[split:])
    return sha256(b"\x01" + left + right).digest()


@given(_LEAVES)
def test_root_follows_the_definition_of_the_rfc(leaves: list[bytes]):
    expected = _root_by_the_rfc(leaves)

    answer = root(leaves)

    assert answer == expected


@given(_LEAVES, st.data())
def test_proof_of_any_leaf_leads_to_the_root(leaves: list[bytes], data: st.DataObject):
    index = data.draw(st.integers(0, len(leaves) - 1))

    proof = inclusion_proof(leaves, index)

    assert root_from_proof(leaves[index], index, len(leaves), proof) == root(leaves)


@given(_LEAVES, st.binary(max_size=8), st.data())
def test_proof_leads_elsewhere_when_the_leaf_is_another(
    leaves: list[bytes], other: bytes, data: st.DataObject
):
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = inclusion_proof(leaves, index)

    answer = root_from_proof(other, index, len(leaves), proof)

    assert (answer == root(leaves)) == (other == leaves[index])
