//! Ratios of a table. Ratios of rows cannot be summed, so they are made of sums.

use crate::products::vocabulary::Formula;

const fn formula(title: &'static str, words: &'static [&'static str], text: &'static str) -> Formula {
    Formula { title, words, text }
}

/// The ratios that people ask for. Their columns are those of the built-in statistics.
pub(crate) const FORMULAS: &[Formula] = &[
    formula("ROAS", &["roas", "roi"], "sum(revenue_generated_client_attribution) / sum(advertiser_cost)"),
    formula(
        "Cost of sales",
        &["cos", "acos", "ecos", "costofsale"],
        "sum(advertiser_cost) / sum(revenue_generated_client_attribution)",
    ),
    formula("Click-through rate", &["ctr", "clickthroughrate"], "sum(clicks) / sum(displays)"),
    formula("Cost per click", &["cpc", "ecpc", "costperclick"], "sum(advertiser_cost) / sum(clicks)"),
    formula("Cost per 1,000 displays", &["cpm", "ecpm"], "1000 * sum(advertiser_cost) / sum(displays)"),
    formula("Cost per order", &["cpo", "cpa", "costperorder"], "sum(advertiser_cost) / sum(sales_client_attribution)"),
    formula("Conversion rate", &["cvr", "conversionrate"], "sum(sales_client_attribution) / sum(clicks)"),
    formula(
        "Average order value",
        &["aov", "averagecart"],
        "sum(revenue_generated_client_attribution) / sum(sales_client_attribution)",
    ),
];

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::products::marketing::metrics::fold;
    use crate::products::marketing::metrics::formulas::*;

    #[test]
    fn formulas_use_columns_of_the_built_in_statistics() {
        let schema: Value =
            serde_json::from_str(include_str!("../../../../schemas/campaign_statistics_daily.json")).unwrap();
        for Formula { title, words, text } in FORMULAS {
            let columns: Vec<_> = text.split("sum(").skip(1).filter_map(|part| part.split(')').next()).collect();
            assert_eq!(columns.len(), 2, "{title}");
            for column in columns {
                assert!(schema["properties"][column].is_object(), "{title}: {column}");
            }
            assert!(words.iter().all(|word| fold(word) == *word), "{title}");
        }
    }
}
