select
    id as ad_id,
    name as ad_name,
    ad_set_id as ad_group_id,
    advertiser_id as account_id,
    creative_id,
    inventory_type
from {{ source('criteo', 'ads') }}
