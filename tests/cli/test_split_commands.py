"""Splitting and counting from the command line, as a script of the official toolbox would."""

from __future__ import annotations

import pytest

from cellmap_tui.challenge.datasplit import read_split
from tests.services.split_data import make_dataset

SIX = {number: {"mito": 0.5, "nuc": 0.25} for number in range(1, 7)}


@pytest.fixture
def data(tmp_path):
    """Six crops with two classes; the words that name their root."""
    make_dataset(tmp_path / "data", "own", SIX)
    return ["--data-root", "data"]


def test_the_line_of_the_contract_writes_a_split(cellmap, data, tmp_path):
    words = ["--batch", *data, "make-datasplit", "-c", "nuc,mito", "-s", "8", "8", "8", "--seed", "3", "-cp"]
    answer = cellmap(*words, "split.csv")
    assert answer.code == 0, answer.err
    split = read_split(tmp_path / "split.csv")
    assert (len(split.train), len(split.validate)) == (5, 1)
    assert split.rows[0].classes == ("nuc", "mito")
    assert "5 train, 1 validate, 0 left out; seed 3" in answer.out
    for scale in (["-s", "8"], ["-s", "8,8,8"], ["--scale=8,8,8"]):
        again = cellmap("--batch", *data, "make-datasplit", "-c", "nuc,mito", *scale, "--seed", "3", "-cp", "b.csv")
        assert again.code == 0, again.err
        assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "split.csv").read_bytes()


def test_every_flag_of_the_official_toolbox_is_taken(cellmap, data, tmp_path):
    template = str(tmp_path / "data/{dataset}/{dataset}.zarr/recon-1/{name}")
    answer = cellmap(
        *("--batch", *data, "make-datasplit", "--classes", "nuc,mito", "-s", "8", "8", "8", "-fa", "-ft", "-fv"),
        *("-vr", "0.5", "-sp", template, "-rn", "em/fibsem-uint8", "-cn", "labels/groundtruth/{crop}/{label}"),
        *("--csv_path", "official.csv", "-ds", "*", "-cr", "*"),
    )
    assert answer.code == 0, answer.err
    split = read_split(tmp_path / "official.csv")
    assert (len(split.train), len(split.validate)) == (3, 3)
    counts = cellmap("--batch", *data, "get-counts", "-c", "nuc", "-sp", template)
    assert counts.code == 0, counts.err
    assert "own" in counts.out


def test_the_result_for_programs_has_the_matrix_and_every_crop(cellmap, data, tmp_path):
    answer = cellmap("--batch", "--json", *data, "make-datasplit", "-c", "mito,nuc", "--leave-out", "4")
    assert answer.code == 0, answer.err
    result = answer.events[-1]
    assert result["event"] == "result"
    value = result["value"]
    assert value["csv_paths"] == [str(tmp_path / "datasplit.csv")]
    assert [row["name"] for row in value["plan"]["counts"]] == ["mito", "nuc"]
    assert len(value["plan"]["crops"]) == 5
    assert value["plan"]["dropped"][0]["dropped"] == "excluded"


def test_a_dry_run_needs_no_batch_and_writes_nothing(cellmap, data, tmp_path):
    answer = cellmap(
        *data, "make-datasplit", "-c", "mito", "--dry-run", "--train-crops", "1", "--min-foreground", "60%"
    )
    assert answer.code == 2
    answer = cellmap(*data, "make-datasplit", "-c", "mito", "--dry-run", "--train-crops", "1")
    assert answer.code == 0, answer.err
    assert "mito" in answer.out
    assert not (tmp_path / "datasplit.csv").exists()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-c", "ribo"], "nothing to learn ribo from in 6 crops: 6 do not annotate it (own/crop1"),
        (["-c", "mitoo"], "did you mean 'mito'"),
        (["-c", "mito", "--targets", "t.toml"], "contradict each other"),
        (["-c", "mito", "--min-foreground", "lots"], "is no share"),
        (["-c", "mito", "--min-foreground", "nuc=1%"], "no target is called 'nuc'"),
        (["-c", "mito", "-vr", "1.5"], "out of range"),
        (["-c", "mito", "--leave-out", "99"], "none of the crops of this split"),
        (["-c", "mito", "-ds", "jrc_hela-22"], "no dataset is called"),
        (["--targets", "none.toml"], "cannot be read"),
    ],
)
def test_a_wrong_request_is_one_line_and_what_to_do(cellmap, data, words, message):
    answer = cellmap("--batch", *data, "make-datasplit", *words)
    assert answer.code in {1, 2}
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""


def test_counts_come_as_a_table_as_csv_and_for_programs(cellmap, data, tmp_path):
    table = cellmap("--batch", "--quiet", *data, "get-counts", "-c", "mito")
    assert table.code == 0, table.err
    assert table.out.splitlines()[0].split()[:3] == ["dataset", "class", "crops"]
    assert table.out.splitlines()[1].split()[:4] == ["own", "mito", "6", "6"]
    rows = cellmap("--batch", "--quiet", *data, "get-counts", "-c", "all", "--csv").out.splitlines()
    assert len(rows) == 13
    assert rows[0].startswith("ref,dataset,name,state")
    result = cellmap("--batch", "--json", *data, "get-counts", "-c", "mito").events[-1]["value"]
    assert result["totals"][0]["present"] == 6
    assert cellmap("--batch", *data, "get-counts", "-c", "mito", "-o", "c.csv").code == 0
    assert (tmp_path / "c.csv").read_text().count("\n") == 7
