use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

use crate::http::transport::headers::{date, retry_after};

fn headers(retry_after: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(DATE, HeaderValue::from_static("Fri, 31 Jul 2026 12:00:00 GMT"));
    headers.insert(RETRY_AFTER, HeaderValue::from_str(retry_after).unwrap());
    headers
}

#[test]
fn an_implausible_date_is_ignored() {
    let of = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HeaderValue::from_str(text).unwrap());
        date(&headers).map(|date| date.to_rfc3339())
    };
    assert_eq!(of("Fri, 31 Jul 2026 12:00:00 GMT").as_deref(), Some("2026-07-31T12:00:00+00:00"));
    for text in [
        "",
        "soon",
        "2026-07-31T12:00:00Z",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Jul 2026",
    ] {
        assert_eq!(of(text), None, "{text}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_server_time() {
    for (text, seconds) in [
        ("3", Some(3)),
        ("Fri, 31 Jul 2026 12:00:07 GMT", Some(7)),
        ("Fri, 31 Jul 2026 11:59:00 GMT", None),
        ("0", None),
        ("-1", None),
        ("abc", None),
    ] {
        assert_eq!(retry_after(&headers(text)), seconds.map(Duration::from_secs), "{text}");
    }
}
