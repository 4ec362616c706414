"""A library that a test fills by hand, step by step, as the indexing worker would."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.lexical import LexicalChunk, LexicalWriter
from likeopt.retrieval.types import SearchResponse
from likeopt.retrieval.vector import VectorBatch
from likeopt.retrieval.vector.chroma import ChromaPusher, ChromaState
from likeopt.retrieval.vector.local import vector_root
from likeopt.retrieval.vector.local_writer import LocalVectorBuilder
from likeopt.storage import bootstrap, changes, facts, revisions
from likeopt.storage.db import Database
from likeopt.storage.engine_queries import embeddings_after
from likeopt.storage.ids import new_id
from likeopt.storage.indexing import TARGET_MODEL
from likeopt.storage.tables import (
    chunks,
    collections,
    document_tags,
    documents,
    embeddings,
    versions,
)
from tests.fakes import FakeEmbedder


class Shelf:
    """Writes documents, embeddings and indexes; each step is visible on its own."""

    def __init__(self, config: Config, db: Database, clock: Clock) -> None:
        self.config = config
        self.db = db
        self.clock = clock
        self.embedder = FakeEmbedder()
        # Each model that `open_embedder` was called for.
        self.asked: list[str | None] = []
        db.write(lambda c: bootstrap.prepare(c, clock))
        db.write(lambda c: facts.put(c, facts.EMBEDDING_MODEL, self.embedder.model))
        db.write(lambda c: facts.put(c, TARGET_MODEL, self.embedder.model))
        self.database_id = db.read(lambda c: facts.get(c, facts.DATABASE_ID)) or ""
        self.lexical_root = config.data_dir / "indexes" / "lexical"
        self.vector_root = vector_root(config.data_dir / "indexes", self.embedder.model)

    def open_embedder(self, model: str | None) -> FakeEmbedder:
        """For a `Library`: the one embedder, whatever the model is called."""
        self.asked.append(model)
        return self.embedder

    # -- documents -------------------------------------------------------------------------------

    def collection(self, collection_id: str) -> None:
        """Another collection of the local user's."""
        row = {"owner_id": "local", "name": collection_id, "everyone": 0, "created_at": 0}
        self.db.write(lambda c: c.execute(sa.insert(collections).values(id=collection_id, **row)))

    def put(
        self,
        name: str,
        passages: Sequence[str],
        *,
        collection: str = "default",
        tags: Sequence[str] = (),
        media_type: str = "text/plain",
        updated_at: int = 0,
        context: str = "",
    ) -> str:
        """Publish a document, or a new version of the document of that name; returns its id."""

        def publish(c: sa.Connection) -> str:
            revision = revisions.raise_(c, "library")
            document_id = c.scalar(sa.select(documents.c.id).where(documents.c.name == name))
            if document_id is None:
                document_id = new_id(self.clock)
                c.execute(
                    sa.insert(documents).values(
                        id=document_id,
                        collection_id=collection,
                        owner_id="local",
                        name=name,
                        source="upload",
                        source_uri=name,
                        media_type=media_type,
                        size=1,
                        revision=revision,
                        created_at=0,
                        updated_at=updated_at,
                    )
                )
                rows = [{"document_id": document_id, "tag": tag} for tag in tags]
                if rows:
                    c.execute(sa.insert(document_tags), rows)
            self._retire(c, document_id, revision)
            version_id = c.execute(
                sa.insert(versions)
                .values(
                    document_id=document_id,
                    state="published",
                    published_revision=revision,
                    chunk_count=len(passages),
                    created_at=0,
                )
                .returning(versions.c.id)
            ).scalar_one()
            self._chunks(c, version_id, passages, context)
            self._change(c, document_id, version_id=version_id, revision=revision)
            return str(document_id)

        return self.db.write(publish)

    def delete(self, document_id: str) -> None:
        """Delete a document, as `storage.documents` does."""

        def bury(c: sa.Connection) -> None:
            revision = revisions.raise_(c, "library")
            self._retire(c, document_id, revision)
            self._change(c, document_id, deleted=1, version_id=None, revision=revision)

        self.db.write(bury)

    def move(self, document_id: str, collection: str) -> None:
        """Put a document into another collection."""
        self.db.write(
            lambda c: self._change(
                c,
                document_id,
                collection_id=collection,
                revision=revisions.raise_(c, "library"),
            )
        )

    def _retire(self, c: sa.Connection, document_id: str, revision: int) -> None:
        c.execute(
            sa.update(versions)
            .where(versions.c.document_id == document_id, versions.c.state == "published")
            .values(state="retired", retired_revision=revision, retired_at=0)
        )

    def _chunks(
        self, c: sa.Connection, version_id: int, passages: Sequence[str], context: str
    ) -> None:
        start = 0
        for ordinal, text in enumerate(passages):
            c.execute(
                sa.insert(chunks).values(
                    version_id=version_id,
                    ordinal=ordinal,
                    text=text,
                    start=start,
                    end=start + len(text),
                    context=context,
                    page=ordinal + 1,
                )
            )
            start += len(text) + 1

    def _change(self, c: sa.Connection, document_id: str, **values: Any) -> None:
        c.execute(sa.update(documents).where(documents.c.id == document_id).values(**values))

    # -- indexes ---------------------------------------------------------------------------------

    def index_words(self) -> None:
        """Bring the index of words up to the database."""
        writer = LexicalWriter.open(
            self.lexical_root, Analyser(self.config.analyser), self.database_id
        )
        found = self.db.read(lambda c: changes.since(c, writer.applied, 10_000))
        writer.apply(found.upto, self._passages(found.published), found.retired)
        writer.close()

    def rebuild_words(self) -> None:
        """Build the index of words anew."""
        revision, live = self.db.read(changes.visible)
        LexicalWriter.rebuild(
            self.lexical_root,
            Analyser(self.config.analyser),
            self.database_id,
            revision,
            self._passages(live),
        ).close()

    def _passages(self, version_ids: list[int]) -> list[LexicalChunk]:
        rows = self.db.read(lambda c: changes.passages(c, version_ids, 0, 100_000))
        return [LexicalChunk(row.id, row.version_id, row.text, row.context) for row in rows]

    def embed(self) -> int:
        """Embed every passage that has no vector yet; returns how many."""
        model = self.embedder.model

        def store(c: sa.Connection) -> int:
            missing = c.execute(
                sa.select(chunks.c.id, chunks.c.version_id, chunks.c.text)
                .outerjoin(embeddings, embeddings.c.chunk_id == chunks.c.id)
                .where(embeddings.c.chunk_id.is_(None))
            ).all()
            revision = revisions.raise_(c, "embeddings")
            vectors = self.embedder.passages([row.text for row in missing]).astype("<f2")
            for row, vector in zip(missing, vectors, strict=True):
                c.execute(
                    sa.insert(embeddings).values(
                        model=model, chunk_id=row.id, vector=vector.tobytes(), revision=revision
                    )
                )
                c.execute(
                    sa.update(versions)
                    .where(versions.c.id == row.version_id)
                    .values(embedded_count=versions.c.embedded_count + 1)
                )
            return len(missing)

        return self.db.write(store)

    def merge_vectors(self) -> None:
        """Build the base of the built-in vector index anew."""
        builder = LocalVectorBuilder(
            self.vector_root,
            database_id=self.database_id,
            model=self.embedder.model,
            dim=self.embedder.dim,
        )
        _, live = self.db.read(changes.visible)
        assert builder.merge(
            self.db.read(lambda c: revisions.current(c, "embeddings")),
            [self._vectors()],
            np.array(live, dtype=np.int64),
            fresh=True,
        )

    def push_to_chroma(self, url: str) -> None:
        """Send every vector to a Chroma server."""
        pusher = ChromaPusher(url, database_id=self.database_id, model=self.embedder.model)
        reached = self.db.read(lambda c: revisions.current(c, "embeddings"))
        pusher.push(ChromaState(reached, 1), [self._vectors()], [])
        pusher.close()

    def _vectors(self) -> VectorBatch:
        rows = self.db.read(lambda c: embeddings_after(c, self.embedder.model, 0, 100_000))
        return VectorBatch(
            np.array([row.chunk_id for row in rows], dtype=np.int64),
            np.array([row.version_id for row in rows], dtype=np.int64),
            np.array([row.revision for row in rows], dtype=np.int64),
            np.frombuffer(b"".join(row.vector for row in rows), dtype="<f2").reshape(len(rows), -1),
        )


LEAVE = ["연차휴가는 15일이다. 매년 1월에 부여한다.", "남은 휴가는 5일까지 이월된다."]
TRAVEL = ["출장비는 사후에 정산한다. 영수증을 낸다."]
CACHE = ["Requests are cached for 60 seconds. A failed layer is a miss."]


def fill(shelf: Shelf) -> None:
    """Three documents, four passages, indexed and embedded."""
    shelf.put("leave", LEAVE, context="휴가 규정")
    shelf.put("travel", TRAVEL)
    shelf.put("cache", CACHE)
    shelf.index_words()
    shelf.embed()


def names(response: SearchResponse) -> list[str]:
    """The documents of the hits, best first."""
    return [hit.document_name for hit in response.hits]


def parts(response: SearchResponse) -> set[str]:
    """The parts that did not work."""
    return {degraded.part for degraded in response.degraded}


# Search as a reader of the default collection.
Search = Callable[..., SearchResponse]
