//! Organisations: their members, invitations and roles.
//!
//! The policies decide about each member's rights. An outsider gets 404 whether the organisation
//! exists or not, a member whose role does not allow something gets 403.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::UserCall;
use super::resources::{changed, created, found, if_match, request_key};
use crate::error::{Code, Problem};
use crate::platform::Platform;
use crate::postgrest::{Function, Outcome, State};
use crate::request::page::PageQuery;
use crate::resources::{Draft, Field, Kind};
use crate::response::{Response, document, empty, streamed};
use crate::types::Object;

const LIST: Function = Function::new("airlock_orgs");
const READ: Function = Function::new("airlock_org");
const CREATE: Function = Function::new("airlock_org_create");
const CHANGE: Function = Function::new("airlock_org_change");
const MEMBERS: Function = Function::new("airlock_members");
const MEMBER: Function = Function::new("airlock_member");
const CHANGE_MEMBER: Function = Function::new("airlock_member_change");
const INVITATIONS: Function = Function::new("airlock_invitations");
const INVITE: Function = Function::new("airlock_invite");
const REVOKE: Function = Function::new("airlock_invitation_revoke");
const JOIN: Function = Function::new("airlock_join");

/// Random bytes of an invitation's token.
const TOKEN_BYTES: usize = 32;

/// `GET /v1/orgs`
pub(crate) async fn list<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let page = PageQuery::parse(call.input.query)?;
    call.database.stream(LIST, page.add_to(Object::new())).await?;
    Ok(streamed())
}

/// `POST /v1/orgs`
pub(crate) async fn create<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let draft = Draft::whole(&[name_field()], call.input.body)?;
    let arguments = request_key(Object::new().text("org_name", draft.text("name")), &call.input, &draft);
    created(call.database.write(CREATE, arguments, None).await?, "/v1/orgs", None)
}

/// `POST /v1/orgs/join`
pub(crate) async fn join<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let draft = Draft::whole(&[token_field()], call.input.body)?;
    let token = draft.text("token").unwrap_or_default();
    let decoded = URL_SAFE_NO_PAD.decode(token);
    if !decoded.is_ok_and(|bytes| bytes.len() == TOKEN_BYTES) {
        return Err(Problem::invalid("/token", "value", "must be the token of an invitation"));
    }
    let outcome = call.database.write(JOIN, Object::new().text("invitation_token", token), None).await?;
    if outcome.outcome == State::Missing {
        return Err(Problem::new(Code::NotFound, "Invitation not found, used, revoked or expired."));
    }
    changed(outcome)
}

/// `GET /v1/orgs/{org_id}`
pub(crate) async fn read<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    found(call.database.read(READ, of_org(&call)?).await?, &call.input)
}

/// `PATCH /v1/orgs/{org_id}`
pub(crate) async fn rename<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let draft = Draft::whole(&[name_field()], call.input.body)?;
    changed(change(&call, "rename", draft.text("name")).await?)
}

/// `DELETE /v1/orgs/{org_id}`
pub(crate) async fn delete<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    gone(change(&call, "delete", None).await?)
}

/// `GET /v1/orgs/{org_id}/members`
pub(crate) async fn members<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    page(&call, MEMBERS).await
}

/// `GET /v1/orgs/{org_id}/members/{user_id}`
pub(crate) async fn member<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let arguments = of_org(&call)?.text("member", call.path.id("user_id")?);
    found(call.database.read(MEMBER, arguments).await?, &call.input)
}

/// `PATCH /v1/orgs/{org_id}/members/{user_id}`
pub(crate) async fn set_role<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let draft = Draft::whole(&[role_field()], call.input.body)?;
    changed(change_member(&call, "set_role", draft.text("role")).await?)
}

/// `DELETE /v1/orgs/{org_id}/members/{user_id}`: removing a member, or leaving.
pub(crate) async fn remove_member<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    gone(change_member(&call, "remove", None).await?)
}

/// `GET /v1/orgs/{org_id}/invitations`
pub(crate) async fn invitations<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    page(&call, INVITATIONS).await
}

/// `POST /v1/orgs/{org_id}/invitations`. The token is shown this once: the database keeps its digest.
pub(crate) async fn invite<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let draft = Draft::whole(&[role_field()], call.input.body)?;
    let token = random_token()?;
    let digest = base16ct::lower::encode_string(&Sha256::digest(token.as_bytes()));
    let arguments = of_org(&call)?.text("member_role", draft.text("role")).text("token_digest", &*digest);
    let outcome = call.database.write(INVITE, request_key(arguments, &call.input, &draft), None).await?;
    if outcome.outcome != State::Created {
        return changed(outcome);
    }
    let row = outcome.json()?;
    let row = row.strip_suffix('}').ok_or(Code::UpstreamInvalid.because("an invitation that is not an object"))?;
    let body = format!(r#"{row},"token":"{token}"}}"#);
    Ok(document(201, "application/json", body.into_bytes()))
}

/// `DELETE /v1/orgs/{org_id}/invitations/{id}`
pub(crate) async fn revoke<P: Platform>(call: UserCall<'_, P>) -> Result<Response, Problem> {
    let arguments = of_org(&call)?.text("invitation", call.path.id("id")?);
    gone(call.database.write(REVOKE, arguments, None).await?)
}

async fn page<P: Platform>(call: &UserCall<'_, P>, function: Function) -> Result<Response, Problem> {
    let page = PageQuery::parse(call.input.query)?;
    call.database.stream(function, page.add_to(of_org(call)?)).await?;
    Ok(streamed())
}

async fn change<P: Platform>(
    call: &UserCall<'_, P>,
    action: &'static str,
    org_name: Option<&str>,
) -> Result<Outcome, Problem> {
    let arguments = of_org(call)?.text("action", action).text("org_name", org_name);
    call.database.write(CHANGE, if_match(arguments, &call.input), None).await
}

async fn change_member<P: Platform>(
    call: &UserCall<'_, P>,
    action: &'static str,
    member_role: Option<&str>,
) -> Result<Outcome, Problem> {
    let member = of_org(call)?.text("member", call.path.id("user_id")?);
    let arguments = member.text("action", action).text("member_role", member_role);
    call.database.write(CHANGE_MEMBER, if_match(arguments, &call.input), None).await
}

/// The arguments of a call about the path's organisation.
fn of_org<P: Platform>(call: &UserCall<'_, P>) -> Result<Object, Problem> {
    Ok(Object::new().text("org", call.path.id("org_id")?))
}

/// 204 after a deletion, or the problem of another outcome.
fn gone(outcome: Outcome) -> Result<Response, Problem> {
    match outcome.outcome {
        State::Done => Ok(empty(204)),
        _ => changed(outcome),
    }
}

/// 256 random bits in base64url.
fn random_token() -> Result<String, Problem> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| Code::Internal.because("no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The database's `organizations_name_length` has the same limits.
fn name_field() -> Field {
    Field::required("name", Kind::Text { min: 1, max: 200 })
}

fn role_field() -> Field {
    let roles = ["owner", "editor", "viewer"].map(str::to_owned);
    Field::required("role", Kind::OneOf { values: roles.to_vec() })
}

/// `text`, so that a token that was pasted with white space around it works.
fn token_field() -> Field {
    Field::required("token", Kind::Text { min: 1, max: 100 })
}
