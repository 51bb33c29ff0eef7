with days as (
    select
        date_day,
        account_id,
        max(account_name) as account_name,
        currency,
        cast(sum(clicks) as bigint) as clicks,
        cast(sum(impressions) as bigint) as impressions,
        sum(spend) as spend,
        sum(conversions) as conversions,
        sum(conversions_value) as conversions_value
    from {{ ref('stg_criteo__campaign_statistics_daily') }}
    group by date_day, account_id, currency
)

select
    {{ criteo_origin() }},
    days.date_day,
    days.account_id,
    coalesce(advertisers.account_name, days.account_name) as account_name,
    days.currency,
    {{ criteo_performance() }}
from days
left join {{ ref('stg_criteo__advertisers') }} as advertisers on advertisers.account_id = days.account_id
