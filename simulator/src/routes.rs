//! The routes of the API and their responses, as the vendor's documents describe them.

use percent_encoding::percent_decode_str;
use serde_json::json;

use super::account::Account;
use super::credentials::{self, AuthError, Login};
use super::error_body::ErrorBody;
use super::fault::Operation;
use super::list::{BadParameter, ListQuery, ListRequest};
use super::page_fault::PageFault;
use super::row_json;
use super::world::{World, api_id};

/// The parts of a request that determine the response.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) get: bool,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) auth_id: Option<String>,
    pub(super) token: Option<String>,
}

/// The resource that a path names. The upper-case letters and the final slash are required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// The list of endpoints: `/api/v1/Account/{account}/Endpoint/`.
    List { account: String },
    /// One endpoint: `/api/v1/Account/{account}/Endpoint/{endpoint}/`.
    Retrieve { account: String, endpoint: String },
    /// Any other path.
    Unknown,
}

/// A response before the server compresses and sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Route {
    /// Parses the path of a request.
    pub(super) fn of(path: &str) -> Self {
        let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["", "api", "v1", "Account", account, "Endpoint", ""] => Self::List {
                account: decode(account),
            },
            [
                "",
                "api",
                "v1",
                "Account",
                account,
                "Endpoint",
                endpoint,
                "",
            ] => Self::Retrieve {
                account: decode(account),
                endpoint: decode(endpoint),
            },
            _ => Self::Unknown,
        }
    }

    /// The operation of this route, for the request counts and for faults.
    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::List { .. } => Operation::ListEndpoints,
            Self::Retrieve { .. } => Operation::RetrieveEndpoint,
            Self::Unknown => Operation::Other,
        }
    }

    /// The auth id in the path, if there is one.
    pub(super) fn account(&self) -> Option<&str> {
        match self {
            Self::List { account } | Self::Retrieve { account, .. } => Some(account),
            Self::Unknown => None,
        }
    }
}

impl Response {
    /// Creates a response with a JSON body.
    pub(super) fn json(status: u16, body: Vec<u8>) -> Self {
        let content_type = Some("application/json".to_owned());
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body,
        }
    }

    fn error(status: u16, form: &ErrorBody, world: &World) -> Self {
        let (content_type, body) = form.render(status, world.now());
        let content_type = content_type.map(ToOwned::to_owned);
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body,
        }
    }

    fn refused(refusal: AuthError, world: &World) -> Self {
        let status = refusal.status();
        match refusal {
            AuthError::Missing(header) => {
                let body = json!({"error": format!("Missing required header: {header}")});
                Self::json(status, body.to_string().into_bytes())
            }
            AuthError::Wrong => Self::error(status, &ErrorBody::Object, world),
            AuthError::NoSuchAccount => Self::error(status, &ErrorBody::Plain, world),
            AuthError::OtherAccount => Self::error(status, &ErrorBody::Message, world),
        }
    }

    fn bad_parameter(bad: &BadParameter) -> Self {
        let BadParameter {
            status,
            name,
            wanted,
        } = bad;
        let message = format!("must be {wanted}");
        let body = if *status == 422 {
            json!({"status": "error", "error": {
                "code": "VALIDATION_ERROR",
                "message": "Validation failed",
                "details": {"errors": [{"field": name, "message": message}]},
            }})
        } else {
            json!({"error": format!("{name} {message}")})
        };
        Self::json(*status, body.to_string().into_bytes())
    }

    /// Builds the response from the current state of the world.
    pub(super) fn to(request: &Request, world: &mut World, faults: &[&PageFault]) -> Self {
        let route = Route::of(&request.path);
        let Some(path_account) = route.account() else {
            // According to users, Vobiz responds with 401 to any other path. Wrong credentials
            // get the same status.
            return Self {
                status: 401,
                content_type: Some("text/plain; charset=utf-8".to_owned()),
                headers: Vec::new(),
                body: b"Unauthorised".to_vec(),
            };
        };
        let auth_id = request.auth_id.as_deref();
        let token = request.token.as_deref();
        let caller = match credentials::check(world, path_account, auth_id, token) {
            Ok(caller) => caller,
            Err(refusal) => return Self::refused(refusal, world),
        };
        if !request.get {
            return Self::error(405, &ErrorBody::Text, world);
        }
        let response_number = world.next_response_number();
        let account = &world.accounts()[caller.account];
        let owner = caller.owner.as_deref();
        match &route {
            Route::Retrieve { endpoint, .. } => retrieve(account, owner, endpoint, response_number),
            _ => match ListQuery::parse(&request.query, account.max_limit) {
                Err(bad) => Self::bad_parameter(&bad),
                Ok(query) => {
                    let list = ListRequest {
                        account,
                        owner,
                        query: &query,
                        response_number,
                    };
                    Self::json(200, list.body(faults))
                }
            },
        }
    }
}

/// Responds with one endpoint, or with the documented 404. A sub-account (`owner`) can only
/// retrieve its own endpoints.
fn retrieve(account: &Account, owner: Option<&str>, id: &str, response_number: u64) -> Response {
    let endpoint = account
        .endpoint(id)
        .filter(|endpoint| owner.is_none() || endpoint.sub_account.as_deref() == owner);
    let Some(endpoint) = endpoint else {
        let body = json!({"error": "Endpoint not found", "endpoint_id": id});
        return Response::json(404, body.to_string().into_bytes());
    };
    let mut body = Vec::with_capacity(1024);
    row_json::detail(&mut body, account, endpoint, &api_id(response_number));
    Response::json(200, body)
}

impl World {
    /// Responds to a GET request and uses no socket. `path` is for example
    /// `/api/v1/Account/MA_1/Endpoint/?limit=2`. Returns the status and the body.
    pub fn ask(&mut self, path: &str, login: Login) -> (u16, Vec<u8>) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let request = Request {
            get: true,
            path: path.to_owned(),
            query: query.to_owned(),
            auth_id: Some(login.auth_id.to_owned()),
            token: Some(login.token.to_owned()),
        };
        let response = Response::to(&request, self, &[]);
        (response.status, response.body)
    }
}
