# Numbers as the tables of these pages show them: rounded to so many digits, without the zero before the point; null is "-".
def r(digits): if . == null then "-" else . * pow(10; digits) | round / pow(10; digits) | tostring | sub("^(?<s>-?)0\\."; "\(.s).") end;
