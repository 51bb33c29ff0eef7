//! The row path with a response of 10,000 rows, beside the alternatives in `src/lib.rs`.
//!
//! ```text
//! cargo bench --manifest-path benches/Cargo.toml
//! ```

use criteo_sandbox::{Options, Sandbox};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use source_criteo_benches::{PASSES, stream};

const DIMENSIONS: [&str; 5] = ["AdvertiserId", "CampaignId", "AdsetId", "AdId", "Day"];
const METRICS: [&str; 5] = ["Displays", "Clicks", "AdvertiserCost", "SalesPc30d", "RevenueGeneratedPc30d"];

fn row_path(criterion: &mut Criterion) {
    let options = Options { advertisers: 1, prepared_rows: Some(10_000), ..Options::default() };
    let day = options.today;
    let sandbox = Sandbox::start(options).expect("a free port");
    let body = sandbox.statistics(&json!({
        "advertiserIds": "1001", "startDate": day, "endDate": day, "dimensions": DIMENSIONS, "metrics": METRICS,
        "currency": "EUR", "format": "json",
    }));
    let body = String::from_utf8(body).expect("JSON is UTF-8");
    let config = json!({"client_id": "a", "client_secret": "b", "currency": "EUR", "custom_reports": [
        {"name": "bench", "dimensions": DIMENSIONS, "metrics": METRICS},
    ]});
    let stream = stream(&config.to_string(), "custom_bench").expect("the stream of the configuration");
    let mut group = criterion.benchmark_group("row path");
    group.throughput(Throughput::Bytes(body.len() as u64));
    for pass in PASSES {
        group.bench_function(pass.name, |bencher| {
            bencher.iter(|| (pass.run)(&stream, &body).expect("a complete response"))
        });
    }
    group.finish();
}

criterion_group!(benches, row_path);
criterion_main!(benches);
