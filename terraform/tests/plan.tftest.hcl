# The whole deployment planned from empty: offline, by the real provider, which renders and checks
# more than a mock would.
#
#   terraform test -filter=tests/plan.tftest.hcl -var-file=environments/lab.tfvars

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "offline"
  secret_key                  = "offline"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  skip_region_validation      = true

  default_tags {
    tags = var.common_tags
  }
}

provider "aws" {
  alias                       = "us_east_1"
  region                      = "us-east-1"
  access_key                  = "offline"
  secret_key                  = "offline"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  skip_region_validation      = true

  default_tags {
    tags = var.common_tags
  }
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = data.aws_ec2_managed_prefix_list.cloudfront
  values = { id = "pl-3b927c52" }
}

override_data {
  target = module.ec2.data.aws_ssm_parameter.ami
  values = { value = "ami-0123456789abcdef0" }
}

variables {
  lambda_package = "tests/packages/lambdas.json"
  portal_package = "tests/packages/portal.json"
}

run "everything_is_planned_at_once_from_empty" {
  command = plan
}
