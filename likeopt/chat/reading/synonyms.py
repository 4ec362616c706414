"""Words that may stand for each other in a question about any document.

Only what holds in every domain: "fee" and "fare", or 휴가 and 휴일, are one thing in some documents
and two in others. The first of a line names its meaning.
"""

_ENGLISH = """
    price cost
    maximum max largest biggest
    minimum min smallest
    delete remove erase
    begin start commence
    end finish
    buy purchase
    get obtain receive
    repair fix mend
    enable activate
    disable deactivate
    configure setup
    medicine medication
    doctor physician
    employee staff worker
    photo picture photograph
    television tv
    telephone phone
    car automobile
    bicycle bike
    kid child
    all every each
    choose select pick
    use utilize
    large big
    fast quick quickly
    close shut
    help assist
    vaccine vaccination
    firm company
    answer reply
    often frequently
"""
_KOREAN = """
    삭제 지우다 없애다
    변경 바꾸다
    구매 구입 사다
    시작 개시
    종료 끝나다
    사용 이용 쓰다
    비용 요금
    가격 값
    직원 사원
    휴대전화 휴대폰 핸드폰
    노트북 랩톱
    컴퓨터 pc 피씨
    이메일 전자우편 메일
    비밀번호 암호 패스워드
    약 의약품
    복용 먹다
    제출 내다
    발송 보내다 전송
    활성화 켜다
    비활성화 끄다
    와이파이 wifi
    콘텐츠 컨텐츠
    메시지 메세지
    기한 마감 마감일
    기간 동안
    모두 모든 전부 전체
    업로드 올리다
    다운로드 내려받다
    분실 잃어버리다 잃다
    잊다 잊어버리다
    답 응답 답변
    집주인 임대인
    세입자 임차인
    수리 고치다
    장소 위치
"""


def _table(lines: str) -> dict[str, str]:
    groups = [line.split() for line in lines.strip().splitlines()]
    return {word: group[0] for group in groups for word in group}


ENGLISH = _table(_ENGLISH)
KOREAN = _table(_KOREAN)
