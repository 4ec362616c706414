"""What each setting is, in Korean: the help of `table.py`, for the page of settings."""

HELP_KO = {
    "data_dir": "데이터베이스, 원본 파일, 색인을 두는 폴더입니다.",
    "files_dir": (
        "원본 파일을 두는 폴더입니다. 서버가 여러 대면 네트워크 마운트처럼 같은 폴더를 써야 합니다."
        " 비워 두면 데이터 폴더의 `files`를 씁니다."
    ),
    "host": (
        "요청을 받을 주소입니다. 루프백이 아닌 주소를 쓰면 다른 컴퓨터에서도 접속할 수 있습니다."
    ),
    "allowed_hosts": (
        "사람들이 이 서버의 주소로 쓰는 이름입니다. 쉼표로 구분합니다(예: `docs.example.org`)."
        " IP 주소, `localhost`, 위의 호스트는 언제나 쓸 수 있습니다."
    ),
    "port": "요청을 받을 포트입니다. 0이면 비어 있는 포트를 고릅니다.",
    "database_url": (
        "데이터베이스 주소입니다. 비워 두면 데이터 폴더의 SQLite를 씁니다. PostgreSQL은"
        " `postgresql://user:password@host/name`처럼 적습니다."
    ),
    "public_url": (
        "초대 링크와 외부 로그인에 쓰이는 공개 주소입니다(예: `https://chat.example.org`)."
        " 비워 두면 요청에 적힌 주소를 씁니다. `https`이면 `TRUSTED_PROXIES`가 0일 수 없습니다."
    ),
    "trusted_proxies": "`X-Forwarded-*` 헤더를 믿을 앞단 프록시의 수입니다. 0이면 믿지 않습니다.",
    "guest": (
        "시작할 때 출력되는 링크를 이 컴퓨터에서 연 사람은 로그인하지 않고 씁니다. `HOST`가"
        " 루프백일 때만 되며, 프록시를 거친 요청에는 적용되지 않습니다."
    ),
    "secret_key": (
        "쿠키에 서명하는 키입니다. 32자 이상이어야 하고 모든 서버에서 같아야 합니다. 비워 두면"
        " 한 번 만들어 데이터 폴더에 보관합니다."
    ),
    "redis_url": (
        "세션, 여러 서버가 함께 쓰는 작성 중인 답변, 캐시의 `redis` 계층에 쓰는"
        " Redis입니다(예: `redis://:password@host:6379/0`). 추가 패키지 `redis`가 필요합니다."
        " 비워 두면 세션을 데이터베이스에 둡니다."
    ),
    "cors_origins": (
        "API 키로 이 API를 호출할 수 있는 다른 페이지의 출처입니다. 쉼표로 구분합니다(예:"
        " `https://intranet.example.org`)."
    ),
    "oidc_issuer": (
        "로그인에 쓸 OpenID Connect 제공자입니다(예: `https://id.example.org/realms/main`)."
        " 추가 패키지 `oidc`가 필요합니다. 비워 두면 쓰지 않습니다."
    ),
    "oidc_client_id": "제공자에 등록된 Like-Opt의 클라이언트 ID입니다.",
    "oidc_client_secret": "Like-Opt의 요청임을 제공자에게 증명하는 비밀 값입니다.",
    "oidc_name": "로그인 버튼에 표시할 제공자 이름입니다.",
    "rate_limit": (
        "한 사람이 모든 키를 합쳐, 또는 로그인하지 않은 한 주소가 1분에 보낼 수 있는 요청 수입니다."
        " 0이면 제한이 없습니다."
    ),
    "rate_limit_chat": (
        "한 사람이 모든 키를 합쳐 1분에 할 수 있는 질문 수입니다. 0이면 제한이 없습니다."
    ),
    "workers": "웹 작업 프로세스 수입니다. 코어보다 많이 두어도 메모리만 더 씁니다.",
    "worker_connections": "웹 작업 프로세스 하나가 동시에 열어 두는 연결 수입니다.",
    "graceful_timeout": (
        "멈추는 프로세스가 열린 요청을 기다리는 시간(초)입니다. 가장 긴 답변보다 길어야 다시"
        " 시작할 때 답변이 끊기지 않습니다."
    ),
    "max_upload_mb": "추가할 수 있는 가장 큰 파일(MiB)입니다.",
    "assets_url": (
        "브라우저가 화면 파일을 받아 갈 주소입니다(예: `https://cdn.example.org/likeopt`). 이"
        " 서버의 `/assets`에서 파일을 가져가는 CDN을 적습니다. 비워 두면 이 서버에서 받습니다."
    ),
    "vitals_percent": (
        "화면 속도를 재서 이 서버에 알리는 방문의 비율(%)입니다. 사람이나 주소는 남기지"
        " 않습니다. 0이면 재지 않습니다."
    ),
    "log_level": "기록할 로그의 가장 낮은 수준입니다.",
    "cache": (
        "캐시 계층을 빠른 것부터 쉼표로 구분해 적습니다: `memory`, `redis`, `memcached`,"
        " `disk`. 비워 두면 아무것도 캐시하지 않습니다."
    ),
    "cache_memory_mb": "프로세스 하나의 메모리 계층이 쓸 수 있는 최대 크기(MiB)입니다.",
    "cache_disk_mb": "이 컴퓨터의 디스크 계층이 쓸 수 있는 최대 크기(MiB)입니다.",
    "memcached_servers": (
        "Memcached 서버를 쉼표로 구분해 적습니다(예: `10.0.0.5:11211`, `/run/memcached.sock`)."
        " 추가 패키지 `memcached`가 필요합니다."
    ),
    "semantic_cache": (
        "말은 다르지만 뜻이 같고 같은 문단을 찾는 질문에 앞선 질문의 답변을 줍니다. 먼저"
        " docs/caching.md를 읽어 보세요. 비슷하지만 다른 질문 460개 중 통과한 것은 없습니다."
    ),
    "cache_warm": (
        "문서가 바뀔 때마다 미리 물어 둘, 가장 많이 받은 질문의 수입니다. 모델이 있으면 문단이"
        " 바뀐 답변을 새로 씁니다. 0이면 하지 않습니다."
    ),
    "sample_library": "새 라이브러리에 Like-Opt 설명서를 첫 문서로 추가합니다.",
    "folder_roots": (
        "화면과 API에서 문서를 추가할 수 있는 서버 폴더입니다. `:`로 구분합니다. 비워 두면"
        " `likeopt ingest`로만 폴더를 추가합니다."
    ),
    "url_allow_private": "루프백과 사설 주소(사내 위키 등)의 페이지도 추가할 수 있게 합니다.",
    "parse_timeout": "파일 하나를 읽는 데 쓸 수 있는 시간(초)입니다. 넘으면 읽기를 멈춥니다.",
    "parse_memory_mb": "파일을 읽는 프로세스의 메모리 한도(MiB)입니다.",
    "chunk_chars": "문단의 목표 길이(글자)입니다.",
    "chunk_overlap": "이웃한 문단이 함께 갖는 글자 수입니다.",
    "analyser": (
        "단어 검색의 분석 방법입니다. `script`(한글 두 글자씩, 라틴 문자 어간) 또는"
        " `kiwi`(한국어 형태소. 추가 패키지 `kiwi`, 메모리 493 MB 더)"
    ),
    "vector_backend": "벡터를 검색하는 곳입니다. 내장 색인 또는 Chroma 서버",
    "chroma_url": "Chroma 서버의 주소입니다.",
    "embedder": "글을 벡터로 바꾸는 것입니다. 내장 모델 또는 OpenAI 호환 서버",
    "embed_url": "임베딩에 쓸 OpenAI 호환 서버의 주소입니다(예: `http://host/v1`).",
    "embed_model": "임베딩 서버에 요청할 모델 이름입니다.",
    "embed_key": "임베딩 서버의 키입니다.",
    "rerank_url": (
        "선택: 순위를 다시 매기는 서버의 주소입니다. `/rerank`(Jina 형식)가 있어야 합니다."
    ),
    "rerank_model": "순위를 다시 매기는 모델의 이름입니다.",
    "rerank_key": "순위를 다시 매기는 서버의 키입니다.",
    "search_deadline_ms": "검색이 엔진을 기다리는 최대 시간(밀리초)입니다. 넘으면 거절합니다.",
    "llm": (
        "답변을 쓰는 것입니다. `extractive`(모델 없이 가장 알맞은 문장 인용), `local`(1.5B"
        " 모델), `local-small`(0.5B), `gguf:/path/to/model.gguf` 또는 `openai`"
    ),
    "llm_url": "OpenAI 호환 서버의 주소입니다(예: Ollama는 `http://127.0.0.1:11434/v1`).",
    "llm_model": "서버에 요청할 모델 이름입니다.",
    "llm_key": "모델 서버의 키입니다.",
    "llm_timeout": "모델의 다음 토큰을 기다리는 시간(초)입니다.",
    "llm_concurrency": "모델이 동시에 쓰는 답변 수입니다. 0이면 모델 종류에 따라 정합니다.",
    "llm_queue": "모델을 기다릴 수 있는 질문 수입니다. 더 오면 503으로 거절합니다.",
    "llm_threads": "내장 모델이 쓰는 CPU 스레드 수입니다. 0이면 쓸 수 있는 코어를 모두 씁니다.",
    "llm_context_tokens": "모델에 주는 문단의 토큰 수입니다. 0이면 모델의 속도에 맞춥니다.",
    "llm_max_tokens": "답변의 최대 길이(토큰)입니다.",
}
