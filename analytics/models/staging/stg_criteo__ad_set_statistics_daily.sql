select
    cast(day as date) as date_day,
    advertiser_id as account_id,
    advertiser_name as account_name,
    campaign_id,
    campaign_name,
    ad_set_id as ad_group_id,
    ad_set_name as ad_group_name,
    currency,
    timezone,
    {{ criteo_metrics() }}
from {{ source('criteo', 'ad_set_statistics_daily') }}
{{ criteo_in_currency() }}
