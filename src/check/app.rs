//! The app of the key, and whether it belongs to the configured product.

use chrono::NaiveDate;
use serde_json::Value;

use crate::check::{StepOutcome, with_age};
use crate::error::{Error, Kind, Result};
use crate::http::{Call, Client};
use crate::model::ids::ApiVersion;
use crate::model::product::Product;
use crate::rows::envelope;
use crate::support::text::excerpt;

/// Requests the app of the key. A failure proves nothing, as no other client is known to use this endpoint.
pub(super) async fn app(client: &Client, product: Product) -> Result<Value> {
    let error = match me(client, product).await {
        Ok(app) => return Ok(app),
        Err(error) => error,
    };
    if error.kind == Kind::Transient {
        return Err(error);
    }
    me(client, product.other()).await.map_err(|_| error)
}

/// The result for an app that can call the API.
pub(super) fn app_outcome(app: Result<Value>, version: &ApiVersion, today: NaiveDate) -> StepOutcome {
    match app {
        Ok(app) => with_age(&format!("The app is \"{}\".", name_of(&app)), version, today),
        Err(error) => {
            let words = error.to_string();
            let about = format!(
                "Criteo does not report the name of the app ({}); syncs do not need it.",
                words.trim_end_matches('.')
            );
            let (StepOutcome::Passed(text) | StepOutcome::Warning(text)) = with_age(&about, version, today) else {
                return StepOutcome::Skipped;
            };
            StepOutcome::Warning(text)
        }
    }
}

/// The name of the app, quoted because it comes from outside.
fn name_of(app: &Value) -> String {
    excerpt(app["name"].as_str().unwrap_or("without a name"))
}

/// Whether the app names the other product.
pub(super) fn is_of_other(app: &Value, product: Product) -> bool {
    let Some(service) = app["criteoService"].as_str().map(str::to_lowercase) else { return false };
    let is_retail_media = service.contains("retail");
    match product {
        Product::MarketingSolutions => is_retail_media,
        Product::RetailMedia => !is_retail_media && service.contains("marketing"),
    }
}

pub(super) fn wrong_product(app: &Value, product: Product) -> Error {
    let name = name_of(app);
    let other = product.other();
    let service = match product {
        Product::MarketingSolutions => "C-Growth and marketing solutions",
        Product::RetailMedia => "Retail Media",
    };
    Error::config(format!(
        "This key belongs to a {other} app, \"{name}\", which lacks the data of {product}. The service of an app cannot be \
         changed: set product to {}, or create a new app on partners.criteo.com with the service \"{service}\" and use its \
         key.",
        other.setting()
    ))
}

/// Requests the app from a product (`GET /{version}/{product}/me`).
async fn me(client: &Client, product: Product) -> Result<Value> {
    let call = Call::shared(&[product.segment(), "me"]);
    let (_, app) = client
        .fetch(&call, |body| {
            envelope::check(body)?;
            let mut response: Value = serde_json::from_str(body).unwrap_or_default();
            let app = response.pointer_mut("/data/attributes").map(Value::take);
            app.filter(Value::is_object).ok_or_else(|| envelope::unknown_shape("it has no app"))
        })
        .await?;
    Ok(app)
}
