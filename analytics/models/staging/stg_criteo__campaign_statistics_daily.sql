select
    cast(day as date) as date_day,
    advertiser_id as account_id,
    advertiser_name as account_name,
    campaign_id,
    campaign_name,
    currency,
    timezone,
    {{ criteo_metrics() }}
from {{ source('criteo', 'campaign_statistics_daily') }}
{{ criteo_in_currency() }}
