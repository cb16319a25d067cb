//! Every route, and who may use it.

use std::collections::BTreeSet;
use std::path::Path;

use axum::http::Method;
use serde_json::json;
use tito_console::api::{Code, ErrorBody, Role, Topic};

use crate::support::{DESTROYER, OPERATOR, READER, Served};

/// Each route with the role that it takes at least.
pub(crate) const ROUTES: [(&str, &str, Role); 59] = [
    ("GET", "/topics", Role::Read),
    ("GET", "/topics/{topic}", Role::Read),
    ("POST", "/topics/{topic}/resize", Role::Operate),
    ("PUT", "/topics/{topic}/kept", Role::Operate),
    ("PUT", "/topics/{topic}/groups/{group}", Role::Operate),
    ("DELETE", "/topics/{topic}/groups/{group}", Role::Destroy),
    ("POST", "/topics/{topic}/events", Role::Operate),
    ("GET", "/topics/{topic}/events/{id}", Role::Read),
    ("POST", "/topics/{topic}/events/{id}/cancel", Role::Destroy),
    ("POST", "/topics/{topic}/events/{id}/reschedule", Role::Operate),
    ("POST", "/topics/{topic}/events/{id}/run", Role::Operate),
    ("GET", "/queues/{queue}/stats", Role::Read),
    ("GET", "/queues/{queue}/events", Role::Read),
    ("GET", "/queues/{queue}/history", Role::Read),
    ("GET", "/queues/{queue}/leases", Role::Read),
    ("POST", "/queues/{queue}/pause", Role::Operate),
    ("PUT", "/queues/{queue}/limits", Role::Operate),
    ("POST", "/queues/{queue}/resume", Role::Operate),
    ("POST", "/queues/{queue}/purge", Role::Destroy),
    ("POST", "/queues/{queue}/replay", Role::Operate),
    ("GET", "/queues/{queue}/dead", Role::Read),
    ("POST", "/queues/{queue}/dead/redrive", Role::Operate),
    ("POST", "/queues/{queue}/dead/purge", Role::Destroy),
    ("GET", "/schedules", Role::Read),
    ("POST", "/schedules/{name}/pause", Role::Operate),
    ("POST", "/schedules/{name}/resume", Role::Operate),
    ("DELETE", "/schedules/{name}", Role::Destroy),
    ("PUT", "/schedules/{name}/override", Role::Operate),
    ("DELETE", "/schedules/{name}/override", Role::Operate),
    ("POST", "/schedules/{name}/fire", Role::Operate),
    ("GET", "/operations", Role::Read),
    ("POST", "/operations", Role::Operate),
    ("GET", "/operations/{operation}", Role::Read),
    ("POST", "/operations/{operation}/stop", Role::Operate),
    ("GET", "/workers", Role::Read),
    ("POST", "/workers/{worker}/retire", Role::Operate),
    ("GET", "/fleets", Role::Read),
    ("GET", "/fleets/{fleet}/members", Role::Read),
    ("GET", "/queues/{queue}/events/{id}/explain", Role::Read),
    ("GET", "/queues/{queue}/entity", Role::Read),
    ("GET", "/queues/{queue}/dead/groups", Role::Read),
    ("GET", "/events/{id}/caused", Role::Read),
    ("GET", "/owners/{owner}", Role::Read),
    ("POST", "/owners/{owner}/erase", Role::Destroy),
    ("GET", "/stores", Role::Read),
    ("GET", "/stores/{store}", Role::Read),
    ("GET", "/stores/{store}/events", Role::Read),
    ("GET", "/stores/{store}/tail", Role::Read),
    ("GET", "/stores/{store}/projections", Role::Read),
    ("POST", "/stores/{store}/projections/{projection}/rebuild", Role::Operate),
    ("GET", "/stores/{store}/reactors", Role::Read),
    ("POST", "/stores/{store}/reactors/{reactor}/replay", Role::Operate),
    ("GET", "/engine", Role::Read),
    ("GET", "/watch", Role::Read),
    ("GET", "/tables", Role::Read),
    ("DELETE", "/tables/{table}/indexes/{index}", Role::Destroy),
    ("GET", "/backup", Role::Destroy),
    ("POST", "/verify", Role::Operate),
    ("POST", "/restore/resume", Role::Operate),
];

/// The routes that the sources name.
fn routes_of_sources() -> BTreeSet<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes");
    let mut routes = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for route in text.split(".route(\"").skip(1) {
            let (path, rest) = route.split_once('"').unwrap();
            // To the next route, or the end of the list.
            let methods = rest.split(['\n', ';']).next().unwrap();
            let before = routes.len();
            for method in ["get", "post", "put", "delete", "patch", "any"] {
                let is_taken = [",", ", ", "."].iter().any(|start| methods.contains(&format!("{start}{method}(")));
                if is_taken {
                    routes.insert((method.to_uppercase(), path.to_string()));
                }
            }
            assert!(routes.len() > before, "no method can be read of {path}: write the route in one line");
        }
    }
    routes
}

#[test]
fn no_route_is_missing_here() {
    let open = ["/live", "/ready"].map(|path| ("GET".to_string(), path.to_string()));
    let listed = ROUTES.iter().map(|(method, path, _)| (method.to_string(), path.to_string()));
    let listed: BTreeSet<_> = listed.chain(open).collect();
    assert_eq!(routes_of_sources(), listed);
}

#[test]
fn the_guide_says_of_each_route_who_may_use_it() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/console.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    for (method, path, role) in ROUTES {
        let row = format!("| `{method} {path}` | {role}");
        assert!(guide.contains(&row), "no row of the guide begins with {row:?}");
    }
}

fn filled(path: &str) -> String {
    let id = "00000000-0000-7000-8000-000000000000";
    let path = ["{id}", "{operation}", "{worker}"].iter().fold(path.to_string(), |path, name| path.replace(name, id));
    let names =
        ["topic", "queue", "group", "name", "fleet", "owner", "store", "projection", "reactor", "table", "index"];
    names.iter().fold(format!("/v1{path}"), |path, name| path.replace(&format!("{{{name}}}"), "mail"))
}

fn tokens() -> [(Role, &'static str); 3] {
    [(Role::Read, READER), (Role::Operate, OPERATOR), (Role::Destroy, DESTROYER)]
}

#[tokio::test]
async fn each_route_is_for_its_role_and_those_above() {
    let served = Served::new().await;
    for (method, path, role) in ROUTES {
        let (path, method) = (filled(path), method.parse::<Method>().unwrap());
        assert_eq!(served.refused(method.clone(), "nobody-0123456789", &path, None).await.0, 401, "{method} {path}");
        for (has, token) in tokens() {
            if has < role {
                let (status, problem) = served.refused(method.clone(), token, &path, None).await;
                assert_eq!((status, problem.code), (403, Code::Forbidden), "{method} {path} {has}");
                continue;
            }
            let query = if role == Role::Read { "" } else { "?dry-run=true" };
            let request = axum::http::Request::builder().method(&method).uri(format!("{path}{query}"));
            let request = request.header("authorization", format!("Bearer {token}"));
            // The bodies of streams are dropped.
            let status = served.send(request.body(axum::body::Body::empty()).unwrap()).await.status();
            assert!(status != 401 && status != 403 && status != 405, "{method} {path} {has}: {status}");
        }
    }
}

#[tokio::test]
async fn what_a_change_does_not_know_is_refused_in_its_query_and_in_its_body() {
    let served = Served::new().await;
    let changes = ROUTES.iter().filter(|(_, _, role)| *role > Role::Read);
    for (method, path, _) in changes {
        let (path, method) = (filled(path), method.parse::<Method>().unwrap());
        let query = format!("{path}?dry-run=true");
        let (status, problem) = served.refused(method.clone(), DESTROYER, &query, None).await;
        assert!(status == 400 && problem.message.contains("unknown field"), "{method} {query}: {}", problem.message);
        if method == Method::GET {
            continue;
        }
        let body = json!({ "a_slip": true });
        let (status, bytes) = served.ask(method.clone(), DESTROYER, &path, Some(&body)).await;
        let problem = serde_json::from_slice::<ErrorBody>(&bytes).unwrap().error;
        assert!(status == 400 && problem.message.contains("a_slip"), "{method} {path}: {}", problem.message);
    }
}

#[tokio::test]
async fn a_form_of_a_page_changes_nothing() {
    let served = Served::new().await;
    for (method, path, role) in ROUTES {
        if role == Role::Read || method == "GET" {
            continue;
        }
        for kind in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "text/plain"] {
            let request = axum::http::Request::builder().method(method).uri(filled(path));
            let request = request.header("authorization", format!("Bearer {DESTROYER}")).header("content-type", kind);
            let status = served.send(request.body(axum::body::Body::empty()).unwrap()).await.status();
            assert_eq!(status, 400, "{method} {path} {kind}");
        }
    }
}

#[tokio::test]
async fn keeping_less_deletes_and_takes_the_role_for_it() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let path = "/v1/topics/mail/kept";
    let _: Topic = served
        .put(path, json!({ "history_seconds": 3_600, "history_events": 100, "dead_letters": {"events": 10} }))
        .await;
    let table = [
        (json!({ "history_seconds": 60 }), 403),
        (json!({ "history_seconds": 0 }), 403),
        (json!({ "history_events": 99 }), 403),
        (json!({ "dead_letters": { "events": 1 } }), 403),
        (json!({ "dead_letters": { "seconds": 60, "events": 10 } }), 403),
        (json!({ "history_seconds": 7_200, "history_events": 100, "dead_letters": { "events": 10 } }), 200),
        (json!({ "history_events": 0, "dead_letters": {} }), 200),
        (json!({ "dead_letters": { "seconds": 60 } }), 403),
        (json!({ "history_events": 5 }), 403),
        (json!({}), 200),
    ];
    for (body, expected) in table {
        let (status, bytes) = served.ask(Method::PUT, OPERATOR, path, Some(&body)).await;
        assert_eq!(status.as_u16(), expected, "{body}: {}", String::from_utf8_lossy(&bytes));
    }
}
