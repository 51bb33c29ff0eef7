//! Names and descriptions: neutral ones that a shop could use, or with `Options::hostile` every kind of character.

use serde_json::{Value, json};

use crate::world::World;

/// A line of goods with its campaigns, and the average order in hundredths.
struct Theme {
    name: &'static str,
    campaigns: [&'static str; 4],
    order: i128,
}

const THEMES: [Theme; 6] = [
    Theme { name: "Shoes", campaigns: ["Running shoes", "Autumn sale", "Winter boots", "Kids' shoes"], order: 7_900 },
    Theme { name: "Furniture", campaigns: ["Office chairs", "Clearance", "Sofas", "Garden tables"], order: 11_000 },
    Theme { name: "Outdoor", campaigns: ["Hiking jackets", "Season sale", "Tents", "Backpacks"], order: 9_800 },
    Theme { name: "Kitchen", campaigns: ["Cookware", "Weekly offers", "Coffee makers", "Knives"], order: 6_200 },
    Theme { name: "Bicycles", campaigns: ["City bikes", "Spring sale", "Helmets", "Spare parts"], order: 16_500 },
    Theme { name: "Toys", campaigns: ["Board games", "Gift week", "Building blocks", "Puzzles"], order: 4_100 },
];

/// Audiences of ad sets: of campaigns for new customers, and of retargeting campaigns.
const AUDIENCES: [[&str; 4]; 2] = [
    ["similar audiences", "in-market shoppers", "new visitors", "local shoppers"],
    ["product viewers", "basket abandoners", "past buyers", "newsletter readers"],
];

const FORMATS: [&str; 4] = ["carousel", "banner", "video", "product grid"];
const CATEGORIES: [&str; 5] = ["Unknown", "New arrivals", "Bestsellers", "Special offers", "Accessories"];

fn theme(number: u32) -> &'static Theme {
    &THEMES[number as usize % THEMES.len()]
}

/// A number after names that would otherwise repeat.
fn numbered(name: &str, round: u32) -> String {
    if round == 0 { name.to_owned() } else { format!("{name} {}", round + 1) }
}

/// A count for a list of `length` values, and how often the list was exhausted.
fn place(number: u32, length: usize) -> (usize, u32) {
    let length = u32::try_from(length).unwrap_or(1);
    ((number % length) as usize, number / length)
}

impl World {
    /// An advertiser's name.
    pub(crate) fn advertiser_name(&self, number: u32) -> String {
        if self.options.hostile {
            return match number % 4 {
                0 => format!("Maison №{} – été\u{2028}/ \"mode\"", number + 1),
                1 => format!("Shop {}", number + 1),
                2 => format!("店舗 {} 🛍", number + 1),
                _ => format!("Brand {}\nsecond line\\", number + 1),
            };
        }
        let (_, round) = place(number, THEMES.len());
        numbered(&format!("Demo {}", theme(number).name), round)
    }

    /// The average order of an advertiser, in hundredths.
    pub(crate) fn average_order(advertiser: u32) -> i128 {
        theme(advertiser).order
    }

    /// Whether a campaign addresses people who know the shop: every second one.
    pub(crate) fn is_retargeting(&self, campaign: u32) -> bool {
        campaign % self.options.campaigns % 2 == 1
    }

    /// What a campaign advertises.
    fn subject(&self, campaign: u32) -> String {
        let theme = theme(campaign / self.options.campaigns);
        let (index, round) = place(campaign % self.options.campaigns, theme.campaigns.len());
        numbered(theme.campaigns[index], round)
    }

    /// A campaign's name; in a hostile world, a third of them share one.
    pub(crate) fn campaign_name(&self, number: u32) -> String {
        if self.options.hostile {
            return match number % 3 {
                0 => format!("Campaign {} \"Sale\"", number + 1),
                1 => format!("Campagne d’été {}", number + 1),
                _ => "Same name".to_owned(),
            };
        }
        let goal = if self.is_retargeting(number) { "retargeting" } else { "prospecting" };
        format!("{} – {goal}", self.subject(number))
    }

    /// An ad set's name.
    pub(crate) fn ad_set_name(&self, number: u32) -> String {
        if self.options.hostile {
            return format!("Ad set {}", number + 1);
        }
        let campaign = number / self.options.ad_sets;
        let audiences = AUDIENCES[usize::from(self.is_retargeting(campaign))];
        let (index, round) = place(number % self.options.ad_sets, audiences.len());
        format!("{} – {}", self.subject(campaign), numbered(audiences[index], round))
    }

    /// An ad's name.
    pub(crate) fn ad_name(&self, number: u32) -> String {
        if self.options.hostile {
            return format!("Ad {}", number + 1);
        }
        let (index, round) = place(number % self.options.ads, FORMATS.len());
        format!("{} – {}", self.ad_set_name(number / self.options.ads), numbered(FORMATS[index], round))
    }

    /// The name of the advertiser's `index`-th object of a kind, which is the world's `number`-th.
    pub(crate) fn object_name(&self, kind: &str, number: u32, index: u32) -> String {
        if self.options.hostile {
            return format!("{kind} {}", number + 1);
        }
        let words: &[&str] = match kind {
            "Audience" => {
                &["Basket abandoners", "Product viewers", "Past buyers", "Newsletter readers", "New visitors"]
            }
            "Coupon" => &["10 % off", "Free delivery", "Gift with purchase"],
            "Creative" => &FORMATS,
            "Product set" => &["All products", "Bestsellers", "In stock", "Reduced", "New arrivals"],
            "Segment" => &[
                "In-market shoppers",
                "New prospects",
                "Customer list",
                "City centre",
                "New home",
                "Buyers, 30 days",
                "Similar to buyers",
                "In-market shoppers abroad",
            ],
            _ => return format!("{kind} {}", index + 1),
        };
        let (at, round) = place(index, words.len());
        let name = numbered(words[at], round);
        // Like "Bestsellers" but unlike "in-market shoppers", these start a name.
        name.chars().next().map_or_else(String::new, |first| first.to_uppercase().chain(name.chars().skip(1)).collect())
    }

    /// The name of a category of products.
    pub(crate) fn category_name(&self, code: usize) -> String {
        if self.options.hostile { format!("Category {code}") } else { CATEGORIES[code % CATEGORIES.len()].to_owned() }
    }

    /// The same in a log file.
    pub(crate) fn category_in_log(&self, code: usize) -> String {
        let end = if self.options.hostile { ", \"quoted\"\nsecond line" } else { "" };
        format!("{}{end}", self.category_name(code))
    }

    /// The name of a coupon in statistics.
    pub(crate) fn coupon_name(&self, code: usize) -> String {
        let names = ["No coupon", "10 % off", "Free delivery"];
        if self.options.hostile { format!("Coupon {code}") } else { names[code % names.len()].to_owned() }
    }

    /// The name of a channel.
    pub(crate) fn channel_name(&self, code: usize) -> String {
        let names = ["Display", "Video", "Social"];
        if self.options.hostile { format!("Channel {code}") } else { names[code % names.len()].to_owned() }
    }

    /// A text in the report of ads in chats.
    pub(crate) fn wording(&self, metric: &str) -> String {
        if self.options.hostile {
            return format!("{metric}, with \"words\"");
        }
        let text = match metric {
            "AdGroupContextHint" => "Comparing products",
            "AdGroupDescription" => "Visitors of product pages",
            "ProductName" => "Bestseller",
            "AdTitle" => "New in the shop",
            _ => "Free delivery this week",
        };
        text.to_owned()
    }

    /// The name of a category of bids.
    pub(crate) fn category_text(&self, number: u32) -> String {
        if self.options.hostile { self.text(number) } else { self.category_name(1 + number as usize % 4) }
    }

    /// The name of a brand that shoppers look for.
    pub(crate) fn brand_name(&self, number: u32) -> String {
        if self.options.hostile { self.text(number) } else { format!("Brand {}", number + 1) }
    }

    /// How many people look for a brand.
    pub(crate) fn brand_size(&self, number: u32) -> u32 {
        if self.options.hostile { 1_000 * number } else { 18_000 + 4_300 * number }
    }

    /// What a campaign aims at.
    pub(crate) fn goal(&self, campaign: u32) -> &'static str {
        if !self.options.hostile && self.is_retargeting(campaign) { "retention" } else { "acquisition" }
    }

    /// The values of a rule of a product set.
    pub(crate) fn rule_values(&self) -> Value {
        if self.options.hostile { json!(["Été", "b\"c"]) } else { json!(["Brand 1", "Brand 2"]) }
    }

    /// A description.
    pub(crate) fn text(&self, number: u32) -> String {
        if !self.options.hostile {
            let texts = ["For everyone", "For the season", "Best prices", "New in the shop"];
            return texts[number as usize % texts.len()].to_owned();
        }
        match number % 6 {
            0 => format!("Text {number}"),
            1 => "première ligne\nзаголовок\t№ 2".to_owned(),
            2 => "a \"quote\", a \\ and a \u{2028} separator".to_owned(),
            3 => String::new(),
            4 => "🛒 سلة التسوق".to_owned(),
            _ => format!("{} …", "long ".repeat(60)),
        }
    }

    /// A value, in a hostile world sometimes `null`.
    pub(crate) fn maybe(&self, number: u32, salt: u64, value: impl Into<Value>) -> Value {
        let is_null = self.options.hostile && self.random(&[u64::from(number), salt, 77]).is_multiple_of(5);
        if is_null { Value::Null } else { value.into() }
    }

    /// Where an ad was shown.
    pub(crate) fn placement(&self, code: usize) -> &'static str {
        let hostile = ["news.example", "сайт.example", "app: Game \"X\"", ""];
        let plausible = ["news.example", "weather.example", "recipes.example", "football.example"];
        if self.options.hostile { hostile[code % 4] } else { plausible[code % 4] }
    }

    /// The name of a marketplace's seller.
    pub(crate) fn seller_name(&self, number: u32) -> String {
        let end = if self.options.hostile { " \u{2028}é" } else { "" };
        format!("Seller {}{end}", number + 1)
    }
}
