select
    {{ criteo_origin() }},
    days.date_day,
    days.account_id,
    coalesce(advertisers.account_name, days.account_name) as account_name,
    days.campaign_id,
    coalesce(campaigns.campaign_name, days.campaign_name) as campaign_name,
    days.currency,
    {{ criteo_performance() }}
from {{ ref('stg_criteo__campaign_statistics_daily') }} as days
left join {{ ref('stg_criteo__advertisers') }} as advertisers on advertisers.account_id = days.account_id
left join {{ ref('stg_criteo__campaigns') }} as campaigns on campaigns.campaign_id = days.campaign_id
