select
    id as campaign_id,
    name as campaign_name,
    advertiser_id as account_id,
    goal
from {{ source('criteo', 'campaigns') }}
