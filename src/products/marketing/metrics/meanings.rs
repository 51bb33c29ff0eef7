//! Criteo's descriptions of its metrics, in our words, with their sources. Entries are keyed by the measure at the
//! start of a name: `SalesPc30d` and `SalesAllPv24h` differ only in scope and window.

use crate::products::marketing::metrics::names::Parts;

/// A page that describes metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The naming convention, the scale of percentages and a list of metrics.
    StatisticsMetrics,
    /// The full list of metrics, on the page of the report.
    CampaignStatistics,
    /// The list of metrics in the help of the user interface.
    AvailableMetrics,
    /// The meaning of `All`.
    ModeledMetrics,
    /// People, reach and opportunities to show an ad.
    AudiencePerformance,
    /// Which displays count as viewed.
    Viewability,
    /// Attribution windows, and the advertiser's own rule.
    AttributionModels,
}

impl Page {
    /// Every page, in the order of the documents.
    pub const EVERY: [Self; 7] = [
        Self::StatisticsMetrics,
        Self::CampaignStatistics,
        Self::AvailableMetrics,
        Self::ModeledMetrics,
        Self::AudiencePerformance,
        Self::Viewability,
        Self::AttributionModels,
    ];

    /// The title.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::StatisticsMetrics => "[Statistics] Metrics, v2021.01",
            Self::CampaignStatistics => "Campaign Statistics",
            Self::AvailableMetrics => "Full list of available metrics",
            Self::ModeledMetrics => "Modeled (All) metrics in Analytics",
            Self::AudiencePerformance => "Audience Performance report",
            Self::Viewability => "Viewability metrics in Analytics",
            Self::AttributionModels => "Attribution models for Custom reports",
        }
    }

    /// The site.
    #[must_use]
    pub fn domain(self) -> &'static str {
        match self {
            Self::StatisticsMetrics | Self::CampaignStatistics => "developers.criteo.com",
            _ => "help.criteo.com",
        }
    }

    /// Title and site, as a citation.
    #[must_use]
    pub fn cited(self) -> String {
        format!("{} ({})", self.title(), self.domain())
    }
}

/// What a metric counts, and its source.
#[derive(Debug, Clone, Copy)]
pub struct Meaning {
    /// The description, in our words.
    pub text: &'static str,
    /// The page that says so.
    pub source: Page,
}

const fn by(source: Page, text: &'static str) -> Meaning {
    Meaning { text, source }
}

use Page::{AudiencePerformance, AvailableMetrics, CampaignStatistics, ModeledMetrics, StatisticsMetrics, Viewability};

const OF_ALL: &[Meaning] = &[
    by(StatisticsMetrics, "also on devices other than the ad's"),
    by(ModeledMetrics, "observed, plus modeled for people who opt out of tracking"),
];
const OF_OFFLINE: &[Meaning] = &[by(CampaignStatistics, "in stores only")];
const OF_OMNICHANNEL: &[Meaning] = &[by(CampaignStatistics, "online and in stores")];

/// A word in a name that widens or narrows what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Other devices, and modeled values.
    All,
    /// Stores only.
    Offline,
    /// Stores and online.
    Omnichannel,
}

impl Scope {
    /// Every scope.
    pub const EVERY: [Self; 3] = [Self::All, Self::Offline, Self::Omnichannel];

    /// The word in the names.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Offline => "Offline",
            Self::Omnichannel => "Omnichannel",
        }
    }

    /// Its meanings, each with a source.
    #[must_use]
    pub fn meanings(self) -> &'static [Meaning] {
        match self {
            Self::All => OF_ALL,
            Self::Offline => OF_OFFLINE,
            Self::Omnichannel => OF_OMNICHANNEL,
        }
    }

    /// Its meanings, joined.
    #[must_use]
    pub fn text(self) -> String {
        self.meanings().iter().map(|meaning| meaning.text).collect::<Vec<_>>().join("; ")
    }

    /// The position in a name, as a word of its own: in `AllInMediaCost`, `All` is part of another word.
    pub(crate) fn position(self, name: &str) -> Option<usize> {
        let position = name.find(self.word())?;
        let after = name[position + self.word().len()..].chars().next();
        let is_word = after.is_none_or(|letter| letter.is_ascii_uppercase());
        let is_placed = (self == Self::Omnichannel) == (position == 0);
        (is_word && is_placed).then_some(position)
    }
}

/// Measures that occur with several scopes and windows.
const FAMILIES: &[(&str, Meaning)] = &[
    ("Sales", by(CampaignStatistics, "orders and other conversions credited to the ads")),
    ("RevenueGenerated", by(CampaignStatistics, "value of the credited sales")),
    ("Revenue", by(CampaignStatistics, "value of the credited sales")),
    ("ConversionRate", by(CampaignStatistics, "credited sales per click")),
    ("ECos", by(AvailableMetrics, "cost of sale: cost divided by credited revenue")),
    ("CostPerOrder", by(CampaignStatistics, "cost per credited order")),
    ("AverageCart", by(CampaignStatistics, "credited revenue per credited sale")),
    ("Roas", by(CampaignStatistics, "return on ad spend: credited revenue divided by cost")),
    ("AdvertiserValue", by(AvailableMetrics, "credited revenue weighted by the margins in the product catalog")),
    ("CostOfAdvertiserValue", by(AvailableMetrics, "cost relative to the advertiser value")),
    ("AppInstalls", by(CampaignStatistics, "app installs")),
    ("InstallRate", by(CampaignStatistics, "app installs per click")),
    ("CostPerInstall", by(CampaignStatistics, "cost per app install")),
];

/// Descriptions that apply to a single metric, by its full name.
const SINGLE: &[(&str, Meaning)] = &[
    ("Clicks", by(StatisticsMetrics, "clicks on the ads")),
    ("Displays", by(StatisticsMetrics, "number of times ads were shown")),
    ("AdvertiserCost", by(CampaignStatistics, "ad spend")),
    ("PostInstallSales", by(CampaignStatistics, "sales and other completed events after an app install")),
    ("PostInstallConversionRate", by(CampaignStatistics, "sales after app installs, per click")),
    ("PostInstallOrderValue", by(CampaignStatistics, "value of the sales after app installs")),
    ("PostInstallCostOfSale", by(CampaignStatistics, "cost of sale of app install campaigns")),
    ("PostInstallCostPerOrder", by(CampaignStatistics, "cost per order after an app install")),
    ("PostInstallRoas", by(CampaignStatistics, "return on ad spend from sales after app installs")),
    ("ExposedUsers", by(AudiencePerformance, "people who were served an ad")),
    (
        "Audience",
        by(AudiencePerformance, "people who could be served an ad; devices known to belong to one person count once"),
    ),
    ("Reach", by(AudiencePerformance, "share of the potential users (Audience) who were served an ad")),
    ("ClickThroughRate", by(CampaignStatistics, "share of the people served an ad who clicked")),
    ("Cpc", by(CampaignStatistics, "cost per click")),
    ("ECpc", by(CampaignStatistics, "cost per click")),
    ("ECpm", by(CampaignStatistics, "cost per thousand displays")),
    ("Visits", by(CampaignStatistics, "users who acted on the site or app within an hour of a click")),
    (
        "QualifiedVisits",
        by(CampaignStatistics, "users who took two actions, or bought, on the site or app within an hour of a click"),
    ),
    ("CostPerVisit", by(CampaignStatistics, "cost per visit")),
    ("BounceRate", by(AvailableMetrics, "share of visitors who left after one page")),
    ("PotentialDisplays", by(AudiencePerformance, "opportunities to show an ad: bid requests received")),
    ("OverallCompetitionWin", by(CampaignStatistics, "displays divided by the opportunities to show an ad")),
    (
        "ViewableDisplays",
        by(StatisticsMetrics, "displays with at least half of the ad on screen for at least one second"),
    ),
    ("NonViewableDisplays", by(StatisticsMetrics, "measured displays that did not count as viewed")),
    ("UntrackableDisplays", by(Viewability, "displays that cannot be measured for viewing, such as native ads")),
];

/// Every description, by the name or part of a name it applies to.
#[must_use]
pub fn glossary() -> Vec<(String, Meaning)> {
    let single = SINGLE.iter().map(|(name, meaning)| ((*name).to_owned(), *meaning));
    let families = FAMILIES.iter().map(|(name, meaning)| (format!("{name}…"), *meaning));
    let scopes = Scope::EVERY
        .into_iter()
        .flat_map(|scope| scope.meanings().iter().map(move |meaning| (format!("…{}…", scope.word()), *meaning)));
    scopes.chain(families).chain(single).collect()
}

pub(crate) fn meaning(name: &str, parts: &Parts) -> Option<Meaning> {
    let of =
        |table: &[(&str, Meaning)], key: &str| table.iter().find(|(word, _)| *word == key).map(|(_, meaning)| *meaning);
    of(SINGLE, name).or_else(|| of(FAMILIES, &parts.measure).filter(|_| !parts.is_post_install()))
}

#[cfg(test)]
mod tests {
    use crate::products::marketing::metrics::meanings::*;
    use crate::products::marketing::metrics::{Metric, Unit, metric, metrics};

    #[test]
    fn every_entry_describes_a_metric() {
        let meanings: Vec<_> = metrics().iter().filter_map(Metric::meaning).map(|meaning| meaning.text).collect();
        for (word, meaning) in FAMILIES.iter().chain(SINGLE) {
            assert!(meanings.contains(&meaning.text), "{word}");
        }
        for (word, _) in SINGLE {
            assert!(metric(word).is_some(), "{word}");
        }
        let words: Vec<_> = FAMILIES.iter().chain(SINGLE).map(|(word, _)| word).collect();
        for (index, word) in words.iter().enumerate() {
            assert!(!words[..index].contains(word), "{word} twice");
        }
    }

    #[test]
    fn every_described_metric_names_its_source() {
        for metric in metrics() {
            let facts = metric.facts();
            let first = metric.meaning().map_or(("unit", None), |meaning| ("meaning and unit", Some(meaning.source)));
            assert_eq!(facts[0], first);
            assert!(facts.contains(&("sums", None)), "Criteo does not say of {} whether it may be summed", metric.name);
            let text = metric.description();
            assert!(metric.meaning().is_none_or(|meaning| text.contains(meaning.text)), "{text}");
            for source in Page::EVERY {
                let is_used = facts.iter().any(|(_, used)| *used == Some(source));
                assert_eq!(text.contains(&source.cited()), is_used, "{text}");
            }
            let pages = text.matches("criteo.com").count();
            assert_eq!(pages, Page::EVERY.into_iter().filter(|source| text.contains(source.title())).count(), "{text}");
            assert!(text.ends_with("erived from the name."), "{text}");
        }
    }

    #[test]
    fn these_metrics_have_no_documented_description() {
        for name in [
            "InvalidClicks",
            "InvalidDisplays",
            "Frequency",
            "ResultType",
            "PotentialUsers",
            "RetailerMarginEuro",
            "PlatformFeeEuro",
            "AllInMediaCost",
            "NetMediaCost",
            "Cos",
            "VideoCompleted",
            "VideoCpv",
            "VisitsPV1D",
            "VisitsAllPv1d",
            "CostPerVisitPV1D",
            "SalesPiPc",
            "OrderValuePi",
            "ReturnOnAdvertiserSpendingPi",
        ] {
            assert!(metric(name).unwrap().meaning().is_none(), "{name}");
        }
    }

    #[test]
    fn scopes_are_part_of_the_name() {
        let scopes = |name: &str| metric(name).unwrap().scopes();
        assert_eq!(scopes("SalesAllPc30d"), [Scope::All]);
        assert_eq!(scopes("AdvertiserAllValue"), [Scope::All]);
        assert_eq!(scopes("CostOfAdvertiserValueAll"), [Scope::All]);
        assert_eq!(scopes("OmnichannelRoasAllPc30d"), [Scope::All, Scope::Omnichannel]);
        assert_eq!(scopes("RoasOfflinePv24h"), [Scope::Offline]);
        for name in ["SalesPc30d", "AllInMediaCost", "OverallCompetitionWin", "AppInstalls"] {
            assert_eq!(scopes(name), [], "{name}");
        }
        let with = |word: &str| metrics().iter().filter(|metric| metric.name.contains(word)).count();
        let reported = |scope| metrics().iter().filter(|metric| metric.scopes().contains(&scope)).count();
        assert_eq!(reported(Scope::All), with("All") - 1);
        assert_eq!(reported(Scope::Offline), with("Offline"));
        assert_eq!(reported(Scope::Omnichannel), with("Omnichannel"));
    }

    /// Units and sums according to Criteo's pages, by the first word of the names.
    #[test]
    fn units_match_the_descriptions() {
        let expected = [
            (
                Unit::Count,
                true,
                "Clicks Displays Sales OmnichannelSales PostInstallSales AppInstalls Visits QualifiedVisits",
            ),
            (Unit::Count, true, "PotentialDisplays ViewableDisplays NonViewableDisplays UntrackableDisplays"),
            (
                Unit::Money,
                true,
                "AdvertiserCost RevenueGenerated OmnichannelRevenue PostInstallOrderValue AdvertiserValue",
            ),
            (
                Unit::Money,
                false,
                "CostPerOrder AverageCart Cpc ECpc ECpm CostPerInstall CostPerVisit PostInstallCostPerOrder",
            ),
            (Unit::People, false, "ExposedUsers Audience"),
            (Unit::Percentage, false, "Reach ConversionRate ECos ClickThroughRate CostOfAdvertiserValue InstallRate"),
            (
                Unit::Percentage,
                false,
                "BounceRate OverallCompetitionWin PostInstallConversionRate PostInstallCostOfSale",
            ),
            (Unit::Ratio, false, "Roas OmnichannelRoas PostInstallRoas"),
        ];
        for (unit, additive, words) in expected {
            for word in words.split(' ') {
                let mut known = metrics().iter().filter(|metric| {
                    let rest = metric.name.strip_prefix(word);
                    rest.is_some_and(|rest| {
                        let rest = rest.trim_start_matches("All").trim_start_matches("Offline");
                        rest.is_empty() || ["P", "Lc", "Client"].iter().any(|window| rest.starts_with(window))
                    })
                });
                let first = known.next().unwrap_or_else(|| panic!("{word}"));
                for metric in std::iter::once(first).chain(known) {
                    assert_eq!((metric.unit, metric.additive), (unit, additive), "{}", metric.name);
                }
            }
        }
    }

    #[test]
    fn only_counts_and_money_are_summed() {
        for metric in metrics().iter().filter(|metric| metric.additive) {
            assert!(matches!(metric.unit, Unit::Count | Unit::Money | Unit::Euro), "{}", metric.name);
        }
    }
}
