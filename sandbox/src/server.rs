//! The server: routes, and what stands before every one of them.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query as UrlQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::access::Access;
use crate::entities;
use crate::options::{Options, Permission};
use crate::problem::Problem;
use crate::world::World;

/// Versions that are alive on the day of the documents, and one that has been switched off.
const VERSIONS: &[&str] = &["2026-01", "2026-07", "2027-01", "preview"];
const GONE: &[&str] = &["2025-07", "2025-10"];
/// Larger requests are refused.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A request that the sandbox has answered; without credentials.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method and path.
    pub line: String,
    /// The JSON body; `null` for forms and for requests without one.
    pub body: Value,
    /// The status of the answer.
    pub status: u16,
}

struct Shared {
    world: World,
    access: Mutex<Access>,
    log: Mutex<Vec<Request>>,
}

impl Shared {
    fn access(&self) -> MutexGuard<'_, Access> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, Vec<Request>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running sandbox; it ends when it is dropped.
pub struct Sandbox {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a sandbox on a free port of the loopback interface, with an event loop of its own.
    ///
    /// # Errors
    /// When the system gives no port or no thread.
    pub fn start(options: Options) -> std::io::Result<Self> {
        Self::start_on(0, options)
    }

    /// Starts a sandbox on this port of the loopback interface.
    ///
    /// # Errors
    /// When the port is taken, or the system gives no thread.
    pub fn start_on(port: u16, options: Options) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let access = Mutex::new(Access::new(&options));
        let shared = Arc::new(Shared { world: World::new(options), access, log: Mutex::default() });
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let router = router(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("sandbox".into()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                let server = axum::serve(listener, router);
                tokio::select! {
                    _ = server => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The base URL of the API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The world behind it, for the truth.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.shared.world
    }

    /// Every request answered so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.log().clone()
    }

    /// Ends all tokens that are out.
    pub fn revoke_tokens(&self) {
        self.shared.access().revoke();
    }

    /// Waits until the sandbox ends, which it does not do by itself.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of the server has been printed already.
            let _ = thread.join();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/oauth2/token", post(token))
        .route("/{version}/advertisers/me", get(portfolio))
        .route("/{version}/marketing-solutions/campaigns/search", post(campaigns))
        .route("/{version}/marketing-solutions/ad-sets/search", post(ad_sets))
        .route("/{version}/marketing-solutions/audiences/search", post(audiences))
        .route("/{version}/statistics/report", post(statistics))
        .fallback(|| async { Problem::not_found("no such endpoint") })
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), gate))
        .with_state(shared)
}

/// Version, budget and token, in this order; and the log.
async fn gate(State(shared): State<Arc<Shared>>, request: axum::extract::Request, next: Next) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, MOST_BYTES).await.unwrap_or_default();
    let logged = serde_json::from_slice(&bytes).unwrap_or_default();
    let is_token = parts.uri.path() == "/oauth2/token";
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let admitted = if is_token { Ok(None) } else { admit(&shared, parts.uri.path(), authorization).map(Some) };
    tokio::time::sleep(shared.world.options.latency).await;
    let mut response = match &admitted {
        Ok(_) => next.run(axum::extract::Request::from_parts(parts, Body::from(bytes))).await,
        Err(problem) => problem.clone().into_response(),
    };
    if !is_token {
        let remaining = admitted.ok().flatten().unwrap_or(0);
        let limit = shared.world.options.rate_limit;
        let reset = chrono::Utc::now().timestamp() + 60;
        for (name, value) in [
            ("x-ratelimit-limit", limit.to_string()),
            ("x-ratelimit-remaining", remaining.to_string()),
            ("x-ratelimit-reset", reset.to_string()),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    shared.log().push(Request { line, body: logged, status: response.status().as_u16() });
    response
}

fn admit(shared: &Shared, path: &str, authorization: Option<&str>) -> Result<usize, Problem> {
    let version = path.split('/').nth(1).unwrap_or_default();
    if GONE.contains(&version) {
        return Err(Problem::gone());
    }
    if !VERSIONS.contains(&version) {
        return Err(Problem::not_found(format!("version {version}")));
    }
    let mut access = shared.access();
    let remaining = access.pay(shared.world.options.rate_limit)?;
    access.authorize(authorization)?;
    Ok(remaining)
}

type Answer = Result<Json<Value>, Problem>;

async fn token(State(shared): State<Arc<Shared>>, Form(form): Form<HashMap<String, String>>) -> Response {
    let granted = shared.access().grant(&shared.world.options, &form);
    match granted {
        Ok(token) => Json(token).into_response(),
        Err((status, refusal)) => (StatusCode::from_u16(status).unwrap_or_default(), Json(refusal)).into_response(),
    }
}

async fn portfolio(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(serde_json::json!({"data": shared.world.portfolio(), "errors": [], "warnings": []}))
}

async fn campaigns(State(shared): State<Arc<Shared>>, body: Bytes) -> Answer {
    shared.permit(Permission::Campaigns)?;
    Ok(Json(entities::search(shared.world.campaigns(), &json_body(&body)?, "campaignIds")))
}

async fn ad_sets(State(shared): State<Arc<Shared>>, body: Bytes) -> Answer {
    shared.permit(Permission::Campaigns)?;
    Ok(Json(entities::search(shared.world.ad_sets(), &json_body(&body)?, "adSetIds")))
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
    offset: Option<usize>,
}

async fn audiences(State(shared): State<Arc<Shared>>, UrlQuery(page): UrlQuery<Page>, body: Bytes) -> Answer {
    shared.permit(Permission::Audiences)?;
    let body = json_body(&body)?;
    entities::paged_search(shared.world.audiences(), &body, "audienceIds", page.limit, page.offset).map(Json)
}

async fn statistics(State(shared): State<Arc<Shared>>, body: Bytes) -> Answer {
    shared.permit(Permission::Analytics)?;
    shared.world.report(&json_body(&body)?).map(Json)
}

impl Shared {
    fn permit(&self, permission: Permission) -> Result<(), Problem> {
        if self.world.options.without_permission.contains(&permission) {
            return Err(Problem::forbidden("permission-denied", "The app lacks the permission for this resource"));
        }
        Ok(())
    }
}

fn json_body(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|_| Problem::validation("invalid", "The body is not valid JSON", ""))
}
