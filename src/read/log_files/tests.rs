use serde_json::json;

use crate::read::log_files::rows_of as read;

#[test]
fn files_are_read_across_any_chunk_boundary() {
    let file = "\u{feff}Event_Type,advertiser_id,Extra\r\nclick,7,\"a, \"\"b\"\"\nc\"\r\n\r\ndisplay,7,\n\"\",7,é";
    let whole = read(&[file.as_bytes()]).unwrap();
    assert_eq!(whole.len(), 3);
    assert_eq!((&whole[0]["event_type"], &whole[0]["line_number"]), (&json!("click"), &json!(1)));
    assert_eq!(whole[0]["other_columns"], json!({"Extra": "a, \"b\"\nc"}));
    assert_eq!(whole[2]["other_columns"], json!({"Extra": "é"}));
    for cut in 1..file.len() {
        let (left, right) = file.as_bytes().split_at(cut);
        assert_eq!(read(&[left, right]).unwrap(), whole, "cut at {cut}");
    }
    assert_eq!(read(&[file.replace(',', ";").replace("a; ", "a, ").as_bytes()]).unwrap(), whole);
}

#[test]
fn long_rows_are_read_and_uneven_ones_are_reported() {
    let long = "x".repeat(300_000);
    let many = (0..1000).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",");
    assert_eq!(read(&[format!("event_type,b\n{long},2\n").as_bytes()]).unwrap()[0]["event_type"], json!(long));
    assert_eq!(read(&[format!("{many}\n{many}\n").as_bytes()]).unwrap().len(), 1);
    assert!(read(&[b"a,b\n1,2,3\n"]).is_err());
    assert!(read(&[b"a\n1\n"]).is_err());
    for pieces in [&[&b"\x1f\x8b\x08,"[..]][..], &[&b"\x1f"[..], b"\x8b\x08\n"]] {
        assert!(read(pieces).unwrap_err().message.contains("compressed twice"));
    }
    assert!(read(&[b""]).unwrap().is_empty());
    assert!(read(&[b"a,b\n"]).unwrap().is_empty());
    assert!(read(&[b"a,b"]).unwrap().is_empty());
}
