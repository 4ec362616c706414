"""A library with a real worker that is driven step by step."""

from pathlib import Path

import tantivy

from likeopt.config import Config
from likeopt.retrieval.generations import Generations
from likeopt.retrieval.ingest import Ingest
from likeopt.storage import access, bootstrap, documents
from likeopt.storage.db import Database
from likeopt.storage.documents import Added, Document, Wanted
from likeopt.storage.files import FileStore
from likeopt.storage.reader import Reader
from likeopt.worker.main import Worker
from tests.fakes import FakeClock, FakeEmbedder

MACHINE = "machine"


class Stage:
    """`worker` uses `embedder`; time moves only with `settle` and `clock.advance`."""

    def __init__(
        self, database: Database, config: Config, clock: FakeClock, embedder: FakeEmbedder
    ) -> None:
        self.db = database
        self.config = config
        self.clock = clock
        self.embedder = embedder
        self.store = FileStore(config.data_dir / "files")
        database.write(lambda c: bootstrap.prepare(c, clock))
        self.reader: Reader = database.read(access.local_reader)
        self.ingest = Ingest(database, self.store, clock, config)
        self.worker = self.new_worker()

    def new_worker(self) -> Worker:
        """Another life of the worker, as after a restart."""
        worker = Worker(self.config, self.clock, MACHINE, open_model=lambda: self.embedder)
        worker.recover()
        return worker

    def restart(self) -> None:
        """The worker dies without a word, and another one starts."""
        self.worker.close()
        self.worker = self.new_worker()

    def upload(self, name: str, text: str | bytes) -> Added:
        content = text.encode() if isinstance(text, str) else text
        return self.ingest.file(self.reader, "default", name, content)

    def settle(self, *, follow: bool = True) -> None:
        """Let the worker do everything that can be done now."""
        while self.worker.step():
            pass
        if follow:
            self.follow()

    def follow(self) -> None:
        """Bring the index of words up to the database."""
        self.clock.advance(1)
        self.worker.follower.follow_words()

    def document(self, name: str) -> Document:
        (found,) = [d for d in self.all() if d.name == name]
        return found

    def all(self) -> list[Document]:
        page = self.db.read(lambda c: documents.list_(c, self.reader, Wanted(), limit=200))
        return page.items

    def lexical(self) -> Path:
        return self.config.data_dir / "indexes" / "lexical"

    def originals(self) -> int:
        return len([path for path in self.store.root.glob("??/*") if path.is_file()])


def indexed_chunks(lexical: Path) -> list[int]:
    """Ids of the passages in the index of words, sorted."""
    folder = Generations(lexical).current()
    assert folder is not None
    searcher = tantivy.Index.open(str(folder / "index")).searcher()
    hits = searcher.search(tantivy.Query.all_query(), searcher.num_docs).hits
    ids = searcher.fast_field_values("chunk", [address for _, address in hits])
    return sorted(int(number) for number in ids if number is not None)
