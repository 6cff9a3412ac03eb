package bench

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// identity returns what client number n connects with.
func (o *Options) identity(n int) (token string, data []byte, err error) {
	token = o.Token
	if o.TokenSecret != "" {
		now := time.Now()
		claims := jwt.MapClaims{"sub": fmt.Sprintf("bench-%d", n), "iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix()}
		if token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(o.TokenSecret)); err != nil {
			return "", nil, fmt.Errorf("sign a token: %w", err)
		}
	}
	if o.UserData != "" {
		data, err = json.Marshal(map[string]string{"user": fmt.Sprintf("%s-%d", o.UserData, n)})
	}
	return token, data, err
}
