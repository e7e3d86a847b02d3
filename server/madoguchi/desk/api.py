"""The desk's own API: the table of contents."""

from madoguchi.desk import (
    administration,
    arrival,
    auditing,
    coming_back,
    counselling,
    document,
    invitations,
    keeper,
    moving,
    supervision,
    survey,
    suspending,
)
from madoguchi.desk.permissions import (
    ADMINISTRATOR,
    BRIDGE,
    GHOST,
    KEEPER,
    MEMBER,
    OVERSEER,
    STAFF,
    SUPERVISOR,
    YOUNG_PERSON,
)
from madoguchi.web.endpoint import ANYONE, DELETE, GET, OPTIONAL, POST, PUT, USER, Row

DESK = "/_madoguchi/desk/v1"

CHAPTERS: dict[str, list[Row]] = {
    "The way in": [
        GET(DESK + "/desk", arrival.get_desk, who=ANYONE, limit="look"),
        POST(DESK + "/cases", arrival.open_case, who=OPTIONAL, limit="arrive"),
        GET(DESK + "/cases/mine", arrival.get_my_case, who=USER, tx=False),
        POST(DESK + "/cases/mine/leave", arrival.leave_my_case, who=USER),
        PUT(DESK + "/cases/mine/news", moving.put_news, who=USER),
        POST(DESK + "/cases/mine/survey", survey.post_survey, who=YOUNG_PERSON),
        PUT(DESK + "/return_key", coming_back.put_return_key, who=YOUNG_PERSON),
        DELETE(DESK + "/return_key", coming_back.delete_return_key, who=YOUNG_PERSON),
        POST(DESK + "/return", coming_back.come_back, who=ANYONE, limit="login"),
    ],
    "Moving": [
        POST(DESK + "/cases/{case_id}/move", moving.offer_move, who=STAFF),
        POST(DESK + "/move/look", moving.look_at_move, who=ANYONE, limit="move"),
        POST(DESK + "/move", moving.confirm_move, who=OPTIONAL, limit="move", tx=False),
        POST(DESK + "/move/decline", moving.decline_move, who=ANYONE, limit="move"),
    ],
    "Counselling": [
        GET(DESK + "/me", counselling.get_me, who=MEMBER),
        PUT(DESK + "/me/away", counselling.put_away, who=STAFF),
        GET(DESK + "/queue", counselling.get_queue, who=STAFF, tx=False),
        GET(DESK + "/colleagues", counselling.list_colleagues, who=STAFF),
        POST(DESK + "/cases/{case_id}/accept", counselling.accept_case, who=STAFF),
        POST(DESK + "/cases/{case_id}/hand_over", counselling.hand_over_case, who=STAFF),
        POST(DESK + "/cases/{case_id}/call_in", counselling.call_in, who=STAFF),
        POST(DESK + "/cases/{case_id}/give_back", counselling.give_case_back, who=STAFF),
        POST(DESK + "/cases/{case_id}/side_room", counselling.enter_side_room, who=STAFF),
        PUT(DESK + "/cases/{case_id}/risk", counselling.put_risk, who=STAFF),
        POST(DESK + "/cases/{case_id}/close", counselling.close_case, who=STAFF),
    ],
    "Supervision": [
        GET(DESK + "/board", supervision.get_board, who=SUPERVISOR),
        PUT(DESK + "/intake", supervision.put_intake, who=SUPERVISOR),
        POST(DESK + "/cases/{case_id}/join", counselling.join_case, who=SUPERVISOR),
        PUT(DESK + "/cases/{case_id}/keeping", suspending.keep_case, who=SUPERVISOR),
        POST(DESK + "/cases/{case_id}/keeping/sign", suspending.sign_keeping, who=SUPERVISOR),
        DELETE(DESK + "/cases/{case_id}/keeping", suspending.end_keeping, who=SUPERVISOR),
        GET(DESK + "/survey", survey.get_survey, who=SUPERVISOR),
        GET(DESK + "/reports", supervision.list_reports, who=SUPERVISOR),
    ],
    "Administration": [
        GET(DESK + "/staff", administration.list_staff, who=ADMINISTRATOR),
        POST(DESK + "/staff", administration.add_staff, who=ADMINISTRATOR),
        PUT(DESK + "/staff/{user_id}", administration.change_staff, who=ADMINISTRATOR),
        POST(DESK + "/staff/{user_id}/password", administration.reset_password, who=ADMINISTRATOR),
        POST(DESK + "/staff/{user_id}/disable", administration.disable_staff, who=ADMINISTRATOR),
        GET(DESK + "/channels", administration.list_channels, who=ADMINISTRATOR),
        PUT(DESK + "/channels/{channel_id}/mode", suspending.put_channel_mode, who=ADMINISTRATOR),
        GET(DESK + "/channels/{channel_id}/suspension", suspending.get_suspension, who=ADMINISTRATOR),
        DELETE(DESK + "/channels/{channel_id}/closing", suspending.withdraw_signature, who=ADMINISTRATOR),
        PUT(DESK + "/channels/{channel_id}/plan", suspending.plan_switch, who=ADMINISTRATOR),
        DELETE(DESK + "/channels/{channel_id}/plan", suspending.cancel_switch, who=ADMINISTRATOR),
        GET(DESK + "/audit", auditing.list_audit_log, who=OVERSEER),
        GET(DESK + "/status", administration.get_status, who=ADMINISTRATOR),
        GET(DESK + "/settings", administration.get_settings, who=ADMINISTRATOR),
        PUT(DESK + "/settings/{name}", administration.put_setting, who=ADMINISTRATOR),
        GET(DESK + "/guidance", administration.list_guidance, who=ADMINISTRATOR),
        PUT(DESK + "/guidance", administration.order_guidance, who=ADMINISTRATOR),
        PUT(DESK + "/guidance/{guidance_id}", administration.put_guidance, who=ADMINISTRATOR),
        DELETE(DESK + "/guidance/{guidance_id}", administration.delete_guidance, who=ADMINISTRATOR),
        POST(DESK + "/guidance/{guidance_id}/confirm", administration.confirm_guidance, who=ADMINISTRATOR),
        POST(DESK + "/admin/redeem", administration.redeem_admin_link, who=ANYONE, limit="redeem"),
    ],
    "The bridges": [
        GET(DESK + "/bridge/errands", moving.list_errands, who=BRIDGE, tx=False),
        POST(DESK + "/bridge/cases/{case_id}/ticket", moving.make_ticket, who=GHOST),
        POST(DESK + "/bridge/cases/{case_id}/told", moving.post_told, who=GHOST),
    ],
    "The keeper": [
        GET(DESK + "/keeper/invitations", invitations.list_invitations, who=KEEPER, tx=False),
        PUT(DESK + "/keeper/vault_keys", keeper.put_vault_keys, who=KEEPER),
        GET(DESK + "/keeper/vault_key", keeper.get_vault_key, who=KEEPER),
    ],
}

CHAPTERS["This document"] = [document.row_of(CHAPTERS, DESK + "/openapi.json", "The desk of madoguchi 窓口")]
ROWS: list[Row] = [row for rows in CHAPTERS.values() for row in rows]
