//! The truth of child streams: every object, with ids that its response lacks.

use serde_json::{Value, json};

use crate::world::{World, ad_set_id, advertiser_id};

impl World {
    /// The objects of any stream in an API version, each with its parents' ids; `None` for an unknown name.
    #[must_use]
    pub fn stream(&self, name: &str, version: &str) -> Option<Vec<Value>> {
        if name.starts_with("rm_") {
            return self.retail_media_stream(name, version);
        }
        if let Some(mut objects) = self.objects(name, version) {
            if name == "ads" {
                for object in &mut objects {
                    object["attributes"]["advertiserId"] = json!(self.owner(name, object));
                }
            }
            return Some(objects);
        }
        let ad_sets = || self.objects("ad_sets", version).unwrap_or_default();
        let of_ad_sets = |list: &dyn Fn(u32) -> Vec<Value>| -> Vec<Value> {
            let children = ad_sets().into_iter().flat_map(|ad_set| {
                let number = ad_set["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or(300_001) - 300_001;
                let parent = json!({"adSetId": ad_set["id"], "advertiserId": ad_set["attributes"]["advertiserId"]});
                list(number).into_iter().map(move |child| with_attributes(child, &parent)).collect::<Vec<_>>()
            });
            children.collect()
        };
        Some(match name {
            "application" => vec![json!({"attributes": crate::routes::application()})],
            "ad_set_category_bids" => of_ad_sets(&|n| self.category_bids(n)),
            "ad_set_display_multipliers" => of_ad_sets(&|n| self.display_multipliers(n)),
            // new-stream: the truth per stream
            "coupon_supported_sizes" => of_ad_sets(&|n| vec![crate::routes::supported_sizes(&ad_set_id(n))]),
            "in_market_brands" | "in_market_interests" => {
                self.in_market_of_segments(name == "in_market_brands", version)
            }
            "contact_list_statistics" => {
                let segments = self.objects("audience_segments", version)?;
                segments.iter().filter_map(World::contact_list).collect()
            }
            "product_filters" => self.product_filters(),
            "product_boosts" => {
                let sets = self.objects("product_sets", version)?;
                let dataset = |set: &Value| {
                    let set = sets.iter().find(|of| of["id"] == *set);
                    set.map(|set| set["attributes"]["datasetId"].clone()).unwrap_or_default()
                };
                let boosts = self.product_boosts().into_iter();
                boosts
                    .map(|boost| {
                        let parent = json!({"datasetId": dataset(&boost["attributes"]["productSetId"])});
                        with_attributes(boost, &parent)
                    })
                    .collect()
            }
            name => self.marketplace_stream(name.strip_prefix("mpo_")?)?,
        })
    }

    fn in_market_of_segments(&self, brands: bool, version: &str) -> Vec<Value> {
        let segments = self.objects("audience_segments", version).unwrap_or_default();
        let mut places: Vec<_> = segments
            .iter()
            .filter_map(|of| {
                let country = of["attributes"]["inMarket"]["country"].as_str()?;
                Some((of["attributes"]["advertiserId"].as_str()?.to_owned(), country.to_owned()))
            })
            .collect();
        places.sort();
        places.dedup();
        let objects = places.into_iter().flat_map(|(advertiser, country)| {
            let number = advertiser.parse().unwrap_or(1001) - 1001;
            let parent = json!({"advertiserId": advertiser, "country": country});
            let list = self.in_market(brands, number, &country).into_iter();
            list.map(|object| with_attributes(object, &parent)).collect::<Vec<_>>()
        });
        objects.collect()
    }

    fn marketplace_stream(&self, name: &str) -> Option<Vec<Value>> {
        let list = |path: &[&str], query: &[(&str, &str)]| {
            let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            self.marketplace(path, &query).and_then(|list| list.as_array().cloned())
        };
        let path: &[&str] = match name {
            "advertisers" => return list(&["advertisers"], &[]),
            "preview_limits" => return list(&["advertisers", "preview-limit"], &[]),
            "campaigns" => &["campaigns"],
            "ad_sets" => &["adsets"],
            "sellers" => &["sellers"],
            "seller_campaigns" => &["seller-campaigns"],
            "budgets" => &["budgets"],
            _ => return None,
        };
        let mut objects = Vec::new();
        for advertiser in (0..self.options.advertisers).map(advertiser_id) {
            let found = match name {
                "sellers" => list(path, &[("advertiserId", &advertiser)]),
                "budgets" => {
                    let path = ["advertisers", &advertiser, "budgets"];
                    // The API cannot return the spend of all finished budgets.
                    let ended =
                        list(&path, &[("endAfterDate", "2000-01-01"), ("status", "Archived")]).map(|mut list| {
                            let unspent =
                                list.iter_mut().filter(|of| !of["spend"].as_f64().is_some_and(|spend| spend > 0.0));
                            unspent.for_each(|of| of["spend"] = Value::Null);
                            list
                        });
                    list(&path, &[]).zip(ended).map(|(current, ended)| [current, ended].concat())
                }
                _ => list(&["advertisers", &advertiser, path[0]], &[]),
            };
            for mut object in found.unwrap_or_default() {
                object["advertiserId"] = json!(advertiser);
                objects.push(object);
            }
        }
        Some(objects)
    }
}

fn with_attributes(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        object["attributes"][name] = value.clone();
    }
    object
}
