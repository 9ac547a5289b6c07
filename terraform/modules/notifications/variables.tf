variable "emails" {
  type        = set(string)
  description = "Email addresses to notify. AWS asks each address to confirm its subscription."
  default     = []
  nullable    = false
}

variable "kms_key_arn" {
  type        = string
  description = "ARN of a symmetric KMS key that encrypts the topic. Its key policy must allow cloudwatch.amazonaws.com, and the account's roles by their own policies, to use kms:Decrypt and kms:GenerateDataKey. With null, the module creates a key."
  default     = null

  # https://docs.aws.amazon.com/kms/latest/developerguide/cmks-in-iam-policies.html
  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, such as arn:aws:kms:eu-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab. The ARN of an alias does not work in IAM policies."
  }
}

variable "name" {
  type        = string
  description = "Name of the service. The topic is named after it. Only alarms and roles whose names start with it can publish."
  nullable    = false
}
