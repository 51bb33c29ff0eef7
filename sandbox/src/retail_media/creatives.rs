//! Creatives, audiences and their segments.

use serde_json::{Value, json};

use crate::retail_media::accounts::resource;
use crate::retail_media::ids::{Kind, TEMPLATES, category_id, retailer_id, template_id};
use crate::world::World;

impl World {
    /// The creative of a preferred line item.
    pub(crate) fn creative_of(&self, account: u32, line_item: u32) -> Option<u32> {
        let creatives = self.several(account, self.options.retail_media.creatives);
        let count = creatives.end - creatives.start;
        (count > 0).then(|| creatives.start + line_item % count)
    }

    pub(crate) fn creatives_of(&self, account: u32) -> Vec<u32> {
        let all = self.several(account, self.options.retail_media.creatives);
        let has_archived = self.options.unknowns.get("rm_archived") == "listed";
        let is_visible = |creative: &u32| {
            !self.is_gone(&Kind::Creative.id(*creative))
                && (has_archived || !["Archived", "Deleted"].contains(&self.creative_status(*creative)))
        };
        all.filter(is_visible).collect()
    }

    pub(crate) fn account_of_creative(&self, creative: u32) -> u32 {
        creative / self.options.retail_media.creatives.max(1)
    }

    fn creative_status(&self, creative: u32) -> &'static str {
        self.one_of(creative, 400, &["Ready", "InUse", "InUse", "Archived", "Deleted"])
    }

    pub(crate) fn creative_name(&self, creative: u32) -> String {
        self.name(creative, "Creative")
    }

    pub(crate) fn creative_format(&self, creative: u32) -> &'static str {
        self.one_of(creative, 401, &["Showcase", "Butterfly", "SponsoredProducts", "IAB", "Custom"])
    }

    /// The number of a creative's template among all.
    pub(crate) fn template_of(&self, creative: u32) -> u32 {
        self.creative_retailer(creative) * TEMPLATES + creative % TEMPLATES
    }

    fn creative_retailer(&self, creative: u32) -> u32 {
        self.retailers_of(self.account_of_creative(creative)).first().copied().unwrap_or(0)
    }

    fn common_creative(&self, number: u32) -> Value {
        let account = self.account_of_creative(number);
        let id = Kind::Creative.id(number);
        let line_items =
            self.campaigns_of(account).flat_map(|campaign| self.line_items_of(campaign)).filter(|line_item| {
                Self::is_preferred(self.campaign_of(*line_item))
                    && self.creative_of(account, *line_item) == Some(number)
            });
        let line_items: Vec<_> = line_items.map(|line_item| Kind::LineItem.id(line_item)).collect();
        let brand = account * self.options.retail_media.brands;
        json!({
            "id": self.perhaps(number, 402, id),
            "name": self.creative_name(number),
            "status": self.creative_status(number),
            // A number here, with more digits than a double has.
            "brandId": self.perhaps(number, 403, Kind::Brand.id(brand).parse::<u64>().ok()),
            "retailerId": retailer_id(self.creative_retailer(number)),
            "associatedLineItemIds": self.perhaps(number, 404, line_items),
            "updatedAt": self.perhaps(number, 405, self.moment(number, 406)),
        })
    }

    /// The older model, of `GET accounts/{id}/creatives`.
    pub(crate) fn older_creative(&self, number: u32) -> Value {
        let mut attributes = self.common_creative(number);
        if attributes["status"] == "InUse" {
            attributes["status"] = json!("In_Use");
        }
        resource("RetailMediaCreative", &Kind::Creative.id(number), attributes)
    }

    pub(crate) fn retail_creative(&self, number: u32) -> Value {
        let mut attributes = self.common_creative(number);
        let template = self.template_of(number);
        let variables = json!([
            {"id": "headline", "textVariableValue": {"text": self.perhaps(number, 410, self.name(number, "Headline"))}},
            {"id": "logo", "filesVariableValue": {"assetIds": ["a-1", "a-2"]}},
            {"id": "layout", "choiceVariableValue": {"chosenOptions": ["one"]}},
            {"id": "colors", "colorVariableValue": {"color": self.one_of(number, 411, &["#fff", "#00FF7f"])}},
            {"id": "link", "hyperlinkVariableValue": {"url": self.perhaps(number, 412, "https://shop.example/?a=1&b=%20")}},
            {"id": "film", "videoVariableValue": {"url": "https://cdn.example/v.mp4", "duration": "00:00:15", "height": 1080, "width": 1920}},
        ]);
        let more = json!({
            "creativeFormatV2Type": self.creative_format(number),
            "formatId": 1 + self.below(number, 413, 9),
            "templateId": template_id(template),
            "templateName": self.template_name(template),
            "templateVariableValues": variables,
            "environments": [
                {"pageType": self.perhaps(number, 414, self.one_of(number, 415, &["Search", "Home", "SearchBar"])),
                    "environments": self.perhaps(number, 416, json!(["Web", "iOS"]))},
            ],
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            attributes[name] = value.clone();
        }
        resource("RetailMediaCreative", &Kind::Creative.id(number), attributes)
    }

    pub(crate) fn audiences_of(&self, account: u32) -> Vec<Value> {
        let all = self.several(account, self.options.retail_media.audiences).map(|number| self.retail_audience(number));
        all.filter(|audience| !self.is_deleted_object(audience)).collect()
    }

    fn retail_audience(&self, number: u32) -> Value {
        let account = number / self.options.retail_media.audiences.max(1);
        let segments = self.several(account, self.options.retail_media.segments);
        let count = (segments.end - segments.start).max(1);
        let segment = |n: u32| json!({"audienceSegmentId": Kind::Segment.id(segments.start + (number + n) % count)});
        let algebra = match number % 3 {
            0 => segment(0),
            1 => json!({"and": [segment(0), {"or": [segment(1), {"not": segment(2)}]}]}),
            _ => json!({"not": {"and": [segment(0), segment(1)]}}),
        };
        resource(
            "RetailMediaAudience",
            &Kind::Audience.id(number),
            json!({
                "accountId": Kind::Account.id(account),
                "name": self.name(number, "Audience"),
                "description": self.perhaps(number, 420, self.name(number, "Description")),
                "algebra": self.perhaps(number, 421, algebra),
                "channels": self.perhaps(number, 422, json!(["Onsite", "Offsite"])),
                "retailerId": retailer_id(self.retailers_of(account).first().copied().unwrap_or(0)).to_string(),
                "createdById": self.perhaps(number, 423, "4711"),
                "createdAt": self.moment(number, 424),
                "updatedAt": self.perhaps(number, 426, self.moment(number, 427)),
            }),
        )
    }

    pub(crate) fn segments_of(&self, account: u32) -> Vec<Value> {
        let all = self.several(account, self.options.retail_media.segments).map(|number| self.retail_segment(number));
        all.filter(|segment| !self.is_deleted_object(segment)).collect()
    }

    /// Whether a segment is a list of contacts.
    pub(crate) fn is_contact_list(segment: u32) -> bool {
        segment.is_multiple_of(2)
    }

    fn retail_segment(&self, number: u32) -> Value {
        let account = number / self.options.retail_media.segments.max(1);
        let retailer = self.retailers_of(account).first().copied().unwrap_or(0);
        let is_list = Self::is_contact_list(number);
        let contacts = json!({
            "identifierType": self.one_of(number, 430, &["Email", "UserIdentifier", "PhoneNumber"]),
            "isReadOnly": self.perhaps(number, 431, false),
            "sharingStatus": self.perhaps(number, 432, self.one_of(number, 433, &["NotShared", "SharedWithAll"])),
        });
        let events = json!({
            "shopperActivity": self.one_of(number, 434, &["View", "Buy", "AddToCart"]),
            "lookbackDays": self.one_of(number, 435, &["Last7Days", "Last30Days", "Last180Days"]),
            "brandIds": self.perhaps(number, 436, json!([Kind::Brand.id(account * self.options.retail_media.brands)])),
            "categoryIds": self.perhaps(number, 437, json!([category_id(retailer, 6).to_string()])),
            "minPrice": self.perhaps(number, 438, self.amount(number, 439, 10)),
            "maxPrice": self.perhaps(number, 440, self.amount(number, 441, 500)),
        });
        resource(
            "RetailMediaAudienceSegment",
            &Kind::Segment.id(number),
            json!({
                "accountId": Kind::Account.id(account),
                "name": self.name(number, "Segment"),
                "description": self.perhaps(number, 442, self.name(number, "Description")),
                "type": if is_list { "ContactList" } else { "Events" },
                "contactList": if is_list { contacts } else { Value::Null },
                "events": if is_list { Value::Null } else { events },
                "channels": self.perhaps(number, 443, json!(["Onsite"])),
                "retailerId": retailer_id(retailer).to_string(),
                "createdById": self.perhaps(number, 444, "4711"),
                "createdAt": self.moment(number, 445),
                "updatedAt": self.perhaps(number, 447, self.moment(number, 448)),
            }),
        )
    }

    pub(crate) fn contacts(&self, segment: u32) -> Value {
        let identifiers = 1_000 + self.below(segment, 449, 100_000);
        resource(
            "ContactListStatistics",
            &Kind::Segment.id(segment),
            json!({"numberOfIdentifiers": identifiers, "numberOfMatches": self.perhaps(segment, 450, identifiers / 2),
                "matchRate": self.perhaps(segment, 451, 0.5)}),
        )
    }
}
