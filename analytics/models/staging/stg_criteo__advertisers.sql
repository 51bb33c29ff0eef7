select
    id as account_id,
    advertiser_name as account_name
from {{ source('criteo', 'advertisers') }}
