use serde::de::Deserialize as _;
use serde_json::Value;

use crate::error::Kind;
use crate::rows::envelope::*;

fn whole(body: &str) -> Envelope {
    each(body, Shape::Plain, &mut CheckOnly).unwrap()
}

#[test]
fn every_reported_envelope_is_parsed() {
    for body in [
        r#"{"data":[{"id":"1"},{"id":"2"}],"errors":[],"warnings":null,"meta":{"totalItems":7}}"#,
        r#"{"Rows":[{"Day":"2026-01-01"},{}],"Total":{"Clicks":"3"}}"#,
        r#"{"rows":[{},{}]}"#,
        " [ {}, {\"a\":[1]} ] ",
    ] {
        assert_eq!(whole(body).rows, Some(2), "{body}");
    }
    assert_eq!(whole(r#"{"data":{"id":"1"}}"#).rows, Some(1));
    assert_eq!(whole(r#"{"data":[],"metadata":{"totalItems":7}}"#).total_items, Some(7));
}

#[test]
fn an_unknown_format_is_not_an_empty_report() {
    for body in ["{}", r#"{"data":null,"errors":[{"code":"x"}]}"#, r#"{"items":[{}]}"#] {
        assert_eq!(whole(body).rows, None, "{body}");
    }
    assert_eq!(whole("[]").rows, Some(0));
}

#[test]
fn non_json_responses_are_distinguished() {
    let kind = |body: &str| check(body).unwrap_err().kind;
    for cut in ["", "{\"Rows\":[{}", "<html>maintenance</html>"] {
        assert_eq!(kind(cut), Kind::Transient, "{cut}");
    }
    for unknown in ["null", "{}", r#"{"data":"x"}"#, r#"{"errors":{}}"#, r#"{"items":[]}"#] {
        assert_eq!(kind(unknown), Kind::System, "{unknown}");
    }
    let refused = r#"{"data":null,"errors":[{"type":"validation","code":"invalid","title":"no"}]}"#;
    assert_eq!(kind(refused), Kind::Config);
}

#[test]
fn a_truncated_or_trailing_document_is_an_error() {
    let document = r#"{"Rows":[{"a":"1"},{"a":"2"}],"Total":{}}"#;
    for length in 0..document.len() {
        assert!(each(&document[..length], Shape::Plain, &mut CheckOnly).is_err(), "{length}");
    }
    assert!(each(&format!("{document}x"), Shape::Plain, &mut CheckOnly).is_err());
    assert!(each("<html>", Shape::Plain, &mut CheckOnly).is_err());
    assert!(each("null", Shape::Plain, &mut CheckOnly).is_err());
}

/// Keeps the JSON of every row.
struct Texts(Vec<String>);

impl RowSink for Texts {
    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        self.0.push(Value::deserialize(row)?.to_string());
        Ok(())
    }
}

#[test]
fn every_report_is_parsed_in_every_envelope() {
    for body in [
        r#"[{"a":1},{"a":2}]"#,
        r#"{"Rows":[{"a":1},{"a":2}],"Total":{}}"#,
        r#"{"ROWS":[{"a":1},{"a":2}]}"#,
        r#"{"data":[{"a":1},{"a":2}]}"#,
        r#"{"Data":[{"type":"Report","Attributes":{"Rows":[{"a":1},{"a":2}]}}],"errors":[]}"#,
        r#"{"data":[{"attributes":{"rows":[{"a":1}]}},{"attributes":{"rows":[{"a":2}]}}]}"#,
        r#"{"data":{"attributes":{"rows":[{"a":1},{"a":2}]}}}"#,
        r#"[{"attributes":{"rows":[{"a":1},{"a":2}]}}]"#,
        r#"{"columns":["a"],"data":[[1],[2]],"rows":2,"links":{}}"#,
        r#"{"rows":"2","Data":[[1],[2]],"Columns":[{"name":"a"}]}"#,
        r#"{"columns":["a"],"rows":[[1],[2]]}"#,
    ] {
        let mut rows = Texts(Vec::new());
        let envelope = each(body, Shape::Report, &mut rows).unwrap();
        assert_eq!(rows.0, [r#"{"a":1}"#, r#"{"a":2}"#], "{body}");
        assert_eq!((envelope.rows, envelope.is_short()), (Some(2), false), "{body}");
    }
    let mut rows = Texts(Vec::new());
    let each_a_row = r#"{"data":[{"attributes":{"a":1}},{"attributes":{"a":2}}]}"#;
    assert_eq!(each(each_a_row, Shape::Report, &mut rows).unwrap().rows, Some(2));
    for empty in [
        "[]",
        r#"{"Rows":[]}"#,
        r#"{"data":[]}"#,
        r#"{"data":[{"attributes":{"rows":[]}}]}"#,
        r#"{"columns":["a"],"data":[]}"#,
        r#"{"columns":["a"],"data":[],"rows":0}"#,
    ] {
        assert_eq!(check_into(empty, Shape::Report, &mut CheckOnly).unwrap().rows, Some(0), "{empty}");
    }
}

#[test]
fn reports_without_a_rows_member_are_rejected_with_their_member_names() {
    for body in [
        r#"{"Rows":null}"#,
        r#"{"rows":7}"#,
        r#"{"columns":["a"],"rows":0}"#,
        r#"{"columns":["a","b"],"data":[[1]]}"#,
        r#"{"data":[[1]]}"#,
        r#"{"data":7}"#,
        "{}",
        "null",
    ] {
        let error = check_into(body, Shape::Report, &mut CheckOnly).unwrap_err();
        assert_eq!(error.kind, Kind::System, "{body}");
    }
    let error = check_into(r#"{"items":[{}],"next":1}"#, Shape::Report, &mut CheckOnly).unwrap_err();
    assert!(error.message.contains("items, next"), "{}", error.message);
}

#[test]
fn errors_and_warnings_around_the_rows_are_read_in_every_format() {
    for rows in [
        r#""Rows":[{}]"#,
        r#""data":[{}]"#,
        r#""columns":["a"],"data":[[1]]"#,
        r#""data":[{"attributes":{"rows":[{}]}}]"#,
    ] {
        let envelope = |more: &str| check_into(&format!("{{{rows},{more}}}"), Shape::Report, &mut CheckOnly);
        for short in [
            r#""warnings":[{"code":"row-limit-exceeded"}]"#,
            r#""Warnings":[{"Code":"ROW_LIMIT_EXCEEDED"}]"#,
            r#""meta":{"totalItems":2}"#,
            r#""Metadata":{"TotalItems":"2"}"#,
            r#""meta":{"totalItems":2.0}"#,
            r#""links":{"next":"https://api.example/2"}"#,
            r#""links":{"self":"/1","page2":"/2"}"#,
            r#""Links":[{"rel":"Next","href":"/2"}]"#,
            r#""meta":{"links":{"next":"/2"}}"#,
            r#""metadata":{"continuationToken":"x"}"#,
            r#""nextPageToken":"x""#,
            r#""paging":{"has_more":true}"#,
            r#""page_info":{"has_next_page":"True"}"#,
            r#""Meta":{"total_items":2}"#,
            r#""_links":{"next":{"href":"/2"}}"#,
        ] {
            assert!(envelope(short).unwrap().is_short(), "{rows} {short}");
        }
        for whole in [
            r#""warnings":[{"code":"other"}]"#,
            r#""meta":{"totalItems":"1"}"#,
            r#""errors":[]"#,
            r#""errors":null"#,
            r#""links":{}"#,
            r#""links":null"#,
            r#""links":{"self":"/1","last":"/1","next":null}"#,
            r#""links":[{"rel":"self","href":"/1"}]"#,
            r#""nextPageToken":"","meta":{"hasMore":false}"#,
            r#""links":{"self":"/1","related":"/x","describedby":{"href":"/y"}}"#,
            r#""links":{"next":{"href":null}}"#,
            r#""links":[{"rel":"next","href":""}]"#,
            r#""links":[{"href":"/1"}]"#,
            r#""hasMore":"False","meta":{"has_next":0,"links":{"next":"No"}}"#,
        ] {
            assert!(!envelope(whole).unwrap().is_short(), "{rows} {whole}");
        }
        for refused in [r#""errors":[{"code":"x"}]"#, r#""Errors":{"title":"no"}"#, r#""error":"no""#] {
            assert_eq!(envelope(refused).unwrap_err().kind, Kind::Transient, "{rows} {refused}");
        }
    }
    assert!(
        check_into(r#"{"columns":["a"],"data":[[1]],"rows":"2"}"#, Shape::Report, &mut CheckOnly).unwrap().is_short()
    );
}

/// A sink that takes rows as raw JSON.
#[derive(Default)]
struct Raw(Vec<String>);

impl RowSink for Raw {
    const IS_RAW: bool = true;

    fn row<'de, D: Deserializer<'de>>(&mut self, row: D) -> std::result::Result<(), D::Error> {
        self.0.push(<&serde_json::value::RawValue>::deserialize(row)?.get().to_owned());
        Ok(())
    }
}

#[test]
fn raw_rows_come_from_lists_and_from_a_single_object() {
    for (body, rows) in [
        ("{\"data\":{\"id\": 1},\"errors\":[]}", &["{\"id\": 1}"][..]),
        ("{\"data\":[{\"id\": 1},{}]}", &["{\"id\": 1}", "{}"]),
        ("[{\"id\": 1}]", &["{\"id\": 1}"]),
    ] {
        let mut raw = Raw::default();
        let envelope = check_into(body, Shape::Plain, &mut raw).unwrap();
        assert_eq!(
            (raw.0, envelope.rows.unwrap_or(0)),
            (rows.iter().map(|row| (*row).to_owned()).collect(), rows.len() as u64)
        );
    }
}
