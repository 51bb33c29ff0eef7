//! What Criteo says of its metrics, in our words, and where it says so. The entries are keyed by the measure at the
//! beginning of a name, since `SalesPc30d` and `SalesAllPv24h` differ in scope and window alone.

use super::names::Parts;

/// A page on which Criteo describes metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The naming convention, the scale of percentages and a list of metrics.
    StatisticsMetrics,
    /// The page of the report with the full list of its metrics.
    CampaignStatistics,
    /// The list of metrics in the help of the user interface.
    AvailableMetrics,
    /// What `All` stands for.
    ModeledMetrics,
    /// People, reach and chances to show an ad.
    AudiencePerformance,
    /// Which displays count as viewed.
    Viewability,
    /// The windows of time, and the advertiser's own rule.
    AttributionModels,
}

impl Page {
    /// Every page, in the order in which the documents list them.
    pub const EVERY: [Self; 7] = [
        Self::StatisticsMetrics,
        Self::CampaignStatistics,
        Self::AvailableMetrics,
        Self::ModeledMetrics,
        Self::AudiencePerformance,
        Self::Viewability,
        Self::AttributionModels,
    ];

    /// The title of the page.
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

    /// Where the page is.
    #[must_use]
    pub fn domain(self) -> &'static str {
        match self {
            Self::StatisticsMetrics | Self::CampaignStatistics => "developers.criteo.com",
            _ => "help.criteo.com",
        }
    }

    /// Title and domain, as a source is named.
    #[must_use]
    pub fn cited(self) -> String {
        format!("{} ({})", self.title(), self.domain())
    }
}

/// What a metric counts, and the page that says so.
#[derive(Debug, Clone, Copy)]
pub struct Meaning {
    /// In our words.
    pub text: &'static str,
    /// The page.
    pub source: Page,
}

const fn by(source: Page, text: &'static str) -> Meaning {
    Meaning { text, source }
}

use Page::{AudiencePerformance, AvailableMetrics, CampaignStatistics, ModeledMetrics, StatisticsMetrics, Viewability};

const OF_ALL: &[Meaning] = &[
    by(StatisticsMetrics, "on other devices than that of the ad, too"),
    by(ModeledMetrics, "observed, and modelled for people who refuse to be tracked"),
];
const OF_OFFLINE: &[Meaning] = &[by(CampaignStatistics, "in stores only")];
const OF_OMNICHANNEL: &[Meaning] = &[by(CampaignStatistics, "online and in stores")];

/// What a word in a name adds to what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Other devices, and models.
    All,
    /// Stores.
    Offline,
    /// Stores and the web.
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

    /// What it says.
    #[must_use]
    pub fn meanings(self) -> &'static [Meaning] {
        match self {
            Self::All => OF_ALL,
            Self::Offline => OF_OFFLINE,
            Self::Omnichannel => OF_OMNICHANNEL,
        }
    }

    /// What it says, in a sentence.
    #[must_use]
    pub fn text(self) -> String {
        self.meanings().iter().map(|meaning| meaning.text).collect::<Vec<_>>().join("; ")
    }

    /// Where it stands in a name, as a word of its own: `AllInMediaCost` begins with another one.
    pub(super) fn position(self, name: &str) -> Option<usize> {
        let position = name.find(self.word())?;
        let after = name[position + self.word().len()..].chars().next();
        let is_word = after.is_none_or(|letter| letter.is_ascii_uppercase());
        let is_placed = (self == Self::Omnichannel) == (position == 0);
        (is_word && is_placed).then_some(position)
    }
}

/// Measures that come with several scopes and windows.
const FAMILIES: &[(&str, Meaning)] = &[
    ("Sales", by(CampaignStatistics, "orders and other conversions that are credited to the ads")),
    ("RevenueGenerated", by(CampaignStatistics, "what the credited sales were worth")),
    ("Revenue", by(CampaignStatistics, "what the credited sales were worth")),
    ("ConversionRate", by(CampaignStatistics, "credited sales by clicks")),
    ("ECos", by(AvailableMetrics, "cost of sale, that is cost by credited revenue")),
    ("CostPerOrder", by(CampaignStatistics, "cost by the number of credited orders")),
    ("AverageCart", by(CampaignStatistics, "credited revenue by the number of credited sales")),
    ("Roas", by(CampaignStatistics, "return on advertising spend, that is credited revenue by cost")),
    ("AdvertiserValue", by(AvailableMetrics, "credited revenue weighted with the margins in the product catalog")),
    ("CostOfAdvertiserValue", by(AvailableMetrics, "cost set against the advertiser value")),
    ("AppInstalls", by(CampaignStatistics, "installations of the app")),
    ("InstallRate", by(CampaignStatistics, "app installs by clicks")),
    ("CostPerInstall", by(CampaignStatistics, "cost by app installs")),
];

/// Metrics whose description holds for this very name.
const SINGLE: &[(&str, Meaning)] = &[
    ("Clicks", by(StatisticsMetrics, "clicks on the ads")),
    ("Displays", by(StatisticsMetrics, "how often ads were shown")),
    ("AdvertiserCost", by(CampaignStatistics, "what was spent on the ads")),
    ("PostInstallSales", by(CampaignStatistics, "sales and other completed events after an app install")),
    ("PostInstallConversionRate", by(CampaignStatistics, "sales after app installs by clicks")),
    ("PostInstallOrderValue", by(CampaignStatistics, "what the sales after app installs were worth")),
    ("PostInstallCostOfSale", by(CampaignStatistics, "cost of sale of campaigns for app installs")),
    ("PostInstallCostPerOrder", by(CampaignStatistics, "cost by orders after app installs")),
    ("PostInstallRoas", by(CampaignStatistics, "return on advertising spend from sales after app installs")),
    ("ExposedUsers", by(AudiencePerformance, "people who were served an ad")),
    (
        "Audience",
        by(
            AudiencePerformance,
            "people who could be served an ad; devices that are known to belong to one person count once",
        ),
    ),
    ("Reach", by(AudiencePerformance, "share of the potential users (Audience) that was served an ad")),
    ("ClickThroughRate", by(CampaignStatistics, "share of those who were served an ad that clicked")),
    ("Cpc", by(CampaignStatistics, "cost of a click")),
    ("ECpc", by(CampaignStatistics, "cost of a click")),
    ("ECpm", by(CampaignStatistics, "cost of a thousand displays")),
    ("Visits", by(CampaignStatistics, "users who did something on the site or app within an hour after a click")),
    (
        "QualifiedVisits",
        by(CampaignStatistics, "users who did two things, or bought, on the site or app within an hour after a click"),
    ),
    ("CostPerVisit", by(CampaignStatistics, "cost by visits")),
    ("BounceRate", by(AvailableMetrics, "share of the visitors who left after one page")),
    ("PotentialDisplays", by(AudiencePerformance, "chances to show an ad: the bid requests received")),
    ("OverallCompetitionWin", by(CampaignStatistics, "displays by the chances to show an ad")),
    (
        "ViewableDisplays",
        by(StatisticsMetrics, "displays of which at least half was on the screen for at least a second"),
    ),
    ("NonViewableDisplays", by(StatisticsMetrics, "displays that were measured and did not count as viewed")),
    (
        "UntrackableDisplays",
        by(Viewability, "displays of which nobody can tell whether they were viewed, such as native ones"),
    ),
];

/// Everything that Criteo says, by the names or parts of names that it says it of.
#[must_use]
pub fn glossary() -> Vec<(String, Meaning)> {
    let single = SINGLE.iter().map(|(name, meaning)| ((*name).to_owned(), *meaning));
    let families = FAMILIES.iter().map(|(name, meaning)| (format!("{name}…"), *meaning));
    let scopes = Scope::EVERY
        .into_iter()
        .flat_map(|scope| scope.meanings().iter().map(move |meaning| (format!("…{}…", scope.word()), *meaning)));
    scopes.chain(families).chain(single).collect()
}

/// What Criteo says of a metric.
pub(super) fn meaning(name: &str, parts: &Parts) -> Option<Meaning> {
    let of =
        |table: &[(&str, Meaning)], key: &str| table.iter().find(|(word, _)| *word == key).map(|(_, meaning)| *meaning);
    of(SINGLE, name).or_else(|| of(FAMILIES, &parts.measure).filter(|_| !parts.is_post_install()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::metrics::{Metric, Unit, metric, metrics};

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
    fn what_is_said_names_its_source_and_nothing_else_does() {
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
    fn no_page_is_known_that_describes_these() {
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
    fn scopes_are_words_of_the_name() {
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
        let told = |scope| metrics().iter().filter(|metric| metric.scopes().contains(&scope)).count();
        assert_eq!(told(Scope::All), with("All") - 1);
        assert_eq!(told(Scope::Offline), with("Offline"));
        assert_eq!(told(Scope::Omnichannel), with("Omnichannel"));
    }

    /// What Criteo's pages say of unit and sums, by the first word of the names.
    #[test]
    fn units_are_those_of_the_descriptions() {
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
