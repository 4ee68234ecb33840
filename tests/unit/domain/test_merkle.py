"""The Merkle tree, against the known answers of Certificate Transparency."""

import pytest

from semalink.domain.merkle import Tree, inclusion_proof, root, root_from_proof

# The leaves and roots that certificate-transparency-go tests RFC 6962 with.
_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("count", range(len(_ROOTS)))
def test_root_is_that_of_the_rfc(count: int):
    leaves = _LEAVES[:count]

    answer = root(leaves)

    assert answer.hex() == _ROOTS[count]


def test_inclusion_proof_names_the_siblings_from_below():
    tree = Tree(_LEAVES[:3])

    proofs = [tree.inclusion_proof(index) for index in range(3)]

    assert proofs[2] == [root(_LEAVES[:2])]
    assert proofs[0] == [root(_LEAVES[1:2]), root(_LEAVES[2:3])]


@pytest.mark.parametrize("index", [-1, 2])
def test_inclusion_proof_is_refused_when_there_is_no_such_leaf(index: int):
    leaves = _LEAVES[:2]

    with pytest.raises(IndexError) as refusal:
        inclusion_proof(leaves, index)

    assert str(refusal.value) == f"there is no leaf {index} among 2"


@pytest.mark.parametrize(
    ("index", "count", "proof", "why"),
    [
        (-1, 2, [], "there is no leaf -1 among 2"),
        (2, 2, [], "there is no leaf 2 among 2"),
        (0, 2, [], "the proof is too short"),
        (0, 1, [bytes(32)], "the proof is too long"),
    ],
)
def test_root_from_proof_is_refused_when_the_proof_does_not_fit(
    index: int, count: int, proof: list[bytes], why: str
):
    leaf = b"leaf"

    with pytest.raises(ValueError, match=why) as refusal:
        root_from_proof(leaf, index, count, proof)

    assert str(refusal.value) == why
