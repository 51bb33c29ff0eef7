//! The words of a product's reports: what `explain` knows beside the streams.

use crate::model::product::Product;
use crate::products::marketing::metrics::{self, Dimension, Metric};

/// A ratio that is made of sums.
#[derive(Debug, Clone, Copy)]
pub struct Formula {
    /// What it is called.
    pub title: &'static str,
    /// Names that find it, folded.
    pub words: &'static [&'static str],
    /// The formula, with columns of the product's reports.
    pub text: &'static str,
}

/// What the reports of a product consist of.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary {
    /// Its dimensions.
    pub dimensions: &'static [Dimension],
    /// Its metrics.
    pub metrics: &'static [Metric],
    /// Ratios of its metrics.
    pub formulas: &'static [Formula],
}

impl Vocabulary {
    /// The words of a product.
    #[must_use]
    pub fn of(product: Product) -> Self {
        match product {
            Product::MarketingSolutions => {
                Self { dimensions: metrics::DIMENSIONS, metrics: metrics::metrics(), formulas: metrics::FORMULAS }
            }
            Product::RetailMedia => Self { dimensions: &[], metrics: &[], formulas: &[] },
        }
    }

    /// The ratio with this folded name.
    #[must_use]
    pub fn formula(&self, name: &str) -> Option<&'static Formula> {
        self.formulas.iter().find(|formula| formula.words.contains(&name))
    }
}
