//! Who may come in, and what they may do.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;
use tito_console::api::{Code, Role};
use tito_console::{Console, ConsoleError};
use tower::ServiceExt;

use crate::support::{DESTROYER, OPERATOR, READER, Served, with_tokens};

#[tokio::test]
async fn each_role_may_do_what_it_may_and_no_more() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    let table = [
        (Method::GET, "/v1/topics", [200, 200, 200]),
        (Method::GET, "/v1/queues/mail/stats", [200, 200, 200]),
        (Method::POST, "/v1/queues/mail/pause", [403, 200, 200]),
        (Method::POST, "/v1/queues/mail/resume", [403, 200, 200]),
        (Method::POST, "/v1/queues/mail/purge", [403, 403, 200]),
    ];
    for (method, path, expected) in table {
        for (token, expected) in [READER, OPERATOR, DESTROYER].into_iter().zip(expected) {
            let request =
                Request::builder().method(&method).uri(path).header("authorization", format!("bearer {token}"));
            let status = served.send(request.body(Body::empty()).unwrap()).await.status();
            assert_eq!(status.as_u16(), expected, "{method} {path} {token}");
        }
    }
}

#[tokio::test]
async fn who_has_no_token_is_told_nothing() {
    let served = Served::new().await;
    for value in ["", "Bearer", "Bearer ", "Bearer reader", "Basic cmVhZGVyOg==", "Bearer reader-0123456789x", "\u{e9}"]
    {
        let request = Request::builder().uri("/v1/topics").header("authorization", value.as_bytes());
        let response = served.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 401, "{value:?}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
    let (_, problem) = served.refused(Method::POST, "x", "/v1/queues/no%20such/purge", Some(&json!({}))).await;
    assert_eq!((problem.code, problem.retryable), (Code::Unauthenticated, false));
}

#[tokio::test]
async fn tokens_that_can_be_guessed_or_taken_for_one_another_are_refused() {
    let db = tito_testkit::in_memory().await.unwrap();
    let short = Console::of(&db).token("ops", Role::Read, "secret").router().unwrap_err();
    assert_eq!(short, ConsoleError::ShortToken { name: "ops".to_string(), bytes: 6 });
    let twice = with_tokens(&db).token("reader", Role::Read, "another-0123456789").router().unwrap_err();
    assert_eq!(twice, ConsoleError::TokenTwice { name: "reader".to_string() });
}

#[tokio::test]
async fn a_token_is_in_nothing_that_is_shown() {
    let db = tito_testkit::in_memory().await.unwrap();
    let shown = format!("{:?}", with_tokens(&db));
    assert!(shown.contains("reader") && !shown.contains("0123456789"), "{shown}");
}

#[tokio::test]
async fn the_application_can_say_who_it_is_and_what_they_may() {
    let db = tito_testkit::in_memory().await.unwrap();
    let router = Console::of(&db)
        .access(
            |head| head.headers.get("x-session")?.to_str().ok().map(str::to_string),
            |name| (name == "ada").then_some(Role::Read),
        )
        .router();
    let table = [
        (None, "same-origin", "GET", 401),
        (Some("bob"), "same-origin", "GET", 403),
        (Some("ada"), "same-origin", "GET", 200),
        (Some("ada"), "none", "GET", 200),
        (Some("ada"), "cross-site", "GET", 403),
        (Some("ada"), "same-site", "GET", 403),
    ];
    for (session, site, method, expected) in table {
        let mut request = Request::builder().method(method).uri("/v1/topics").header("sec-fetch-site", site);
        if let Some(session) = session {
            request = request.header("x-session", session);
        }
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), expected, "{session:?} {site}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_with_the_session_of_its_reader() {
    let db = tito_testkit::in_memory().await.unwrap();
    tito_worker::TitoQueue::new(db.clone()).create_topic("mail", 1).await.unwrap();
    let router = Console::of(&db).access(|_| Some("ada".to_string()), |_| Some(Role::Destroy)).router();
    let table = [
        (None, None, 200),
        (Some("https://tito.internal:8080"), None, 200),
        (Some("http://TITO.internal:8080"), Some("application/json"), 200),
        (Some("https://evil.example"), None, 403),
        (Some("https://tito.internal"), None, 403),
        (Some("https://tito.internal:8080.evil.example"), None, 403),
        (Some("null"), None, 403),
        (Some(""), None, 403),
        (None, Some("text/plain"), 400),
        (None, Some("application/x-www-form-urlencoded"), 400),
        (None, Some("multipart/form-data; boundary=x"), 400),
    ];
    for (origin, kind, expected) in table {
        let mut request = Request::post("/v1/queues/mail/purge").header("host", "tito.internal:8080");
        for (name, value) in [("origin", origin), ("content-type", kind)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), expected, "{origin:?} {kind:?}");
    }
}
