select
    id as ad_group_id,
    name as ad_group_name,
    campaign_id,
    advertiser_id as account_id,
    objective,
    media_type,
    schedule_delivery_status as delivery_status
from {{ source('criteo', 'ad_sets') }}
