provider "aws" {
  region              = var.aws_region
  allowed_account_ids = var.allowed_account_ids
  max_retries         = 5

  default_tags {
    tags = var.common_tags
  }
}

# Certificate and web ACL of CloudFront.
provider "aws" {
  alias               = "us_east_1"
  region              = "us-east-1"
  allowed_account_ids = var.allowed_account_ids
  max_retries         = 5

  default_tags {
    tags = var.common_tags
  }
}
