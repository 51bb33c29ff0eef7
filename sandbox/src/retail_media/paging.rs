//! The kinds of paging: by page index, by offset under three names, and none.

use serde_json::{Value, json};

use crate::problem::Problem;
use crate::retail_media::routes::Asked;

/// Host of the links to other pages, whatever host was called.
const HOST: &str = "https://api.criteo.com";

/// Members with a list's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counters {
    /// `metadata{count, limit, offset}`
    Metadata,
    /// `meta{count, limit, offset}`
    Meta,
    /// `meta{totalItems, limit, offset}`
    TotalItems,
    /// `meta{count, responseCount, limit, offset}`
    Bare,
}

/// Default and greatest `limit`, and the least one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub least: usize,
    pub usual: usize,
    pub most: usize,
}

impl Limits {
    pub(crate) const fn new(usual: usize, most: usize) -> Self {
        Self { least: 1, usual, most }
    }
}

impl Asked<'_> {
    fn number(&self, name: &str, usual: usize, least: usize, most: usize) -> Result<usize, Problem> {
        let Some(text) = self.request.query.get(name) else { return Ok(usual) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| Problem::validation("invalid", format!("{name} is not from {least} to {most}"), text))
    }

    /// A page by `pageIndex` and `pageSize`.
    pub(crate) fn pages(&self, all: &[u32], object: impl Fn(u32) -> Value) -> Result<Value, Problem> {
        let most = i32::MAX as usize;
        let (index, size) = (self.number("pageIndex", 0, 0, most)?, self.number("pageSize", 25, 1, most)?);
        let size = match self.switch("rm_page_size") {
            "cut_at_100" => size.min(100),
            "refused_above_100" if size > 100 => {
                return Err(Problem::validation("invalid", "pageSize must not exceed 100", size.to_string()));
            }
            _ => size,
        };
        let size = size.min(self.world.options.retail_media.page_limit);
        let pages = all.len().div_ceil(size);
        let page: Vec<Value> =
            all.iter().skip(index.saturating_mul(size)).take(size).map(|number| object(*number)).collect();
        let link = |page: usize| match self.switch("rm_page_links") {
            "none" => Value::Null,
            _ => json!(format!("{HOST}{}?pageIndex={page}&pageSize={size}", self.request.path)),
        };
        let next = if index + 1 < pages { link(index + 1) } else { Value::Null };
        let previous = if index > 0 { link(index - 1) } else { Value::Null };
        let shown = if self.switch("rm_page_size_shown") == "items" { page.len() } else { size };
        let totals = match self.switch("rm_count") {
            "null" => (Value::Null, Value::Null),
            _ => (json!(all.len()), json!(pages)),
        };
        let metadata = json!({"totalItemsAcrossAllPages": totals.0, "totalPages": totals.1, "currentPageSize": shown,
            "currentPageIndex": index, "nextPage": next, "previousPage": previous});
        Ok(json!({"data": page, "metadata": metadata, "errors": [], "warnings": []}))
    }

    /// A page by `limit` and `offset`.
    pub(crate) fn offsets<T: Clone>(
        &self,
        all: &[T],
        limits: Limits,
        counters: Counters,
        object: impl Fn(T) -> Value,
    ) -> Result<Value, Problem> {
        let limit = self.number("limit", limits.usual, limits.least, limits.most)?;
        let offset = self.number("offset", 0, 0, i32::MAX as usize)?;
        let size = limit.min(self.world.options.retail_media.page_limit);
        let page: Vec<Value> = all.iter().skip(offset).take(size).cloned().map(object).collect();
        let count = match self.switch("rm_count") {
            "page" => json!(page.len()),
            "null" => Value::Null,
            _ => json!(all.len()),
        };
        let (name, values) = match counters {
            Counters::Metadata => ("metadata", json!({"count": count, "limit": limit, "offset": offset})),
            Counters::Meta => ("meta", json!({"count": count, "limit": limit, "offset": offset})),
            Counters::TotalItems => ("meta", json!({"totalItems": count, "limit": limit, "offset": offset})),
            Counters::Bare => {
                ("meta", json!({"count": count, "responseCount": page.len(), "limit": limit, "offset": offset}))
            }
        };
        let mut response = json!({"data": page, "errors": [], "warnings": []});
        response[name] = values;
        Ok(response)
    }

    /// The values of a repeated parameter.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let parameters = self.request.parameters.iter();
        parameters.filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }
}
